import { expect, test } from "bun:test";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { BIN, ELSEWHERE, startProcess } from "../support/process.ts";

async function workers(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = Bun.spawn([BIN, "workers", ...words], { cwd: ELSEWHERE, stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, out, err };
}

test("a worker is cordoned, gets requests again, is drained and removed from a shell", async () => {
  await using engine = await startEngine({ model: "m-1" });
  await using gateway = await startProcess(["--worker-urls", engine.url]);
  while ((await fetch(`${gateway.url}/readiness`)).status !== 200) await Bun.sleep(20);
  const at = ["--url", gateway.url];
  const ask = async (): Promise<number> =>
    (await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, model: "m-1" })).status;
  expect((await workers("list", "--json", ...at)).out).toContain(engine.url);
  expect((await workers("cordon", engine.url, ...at)).out).toContain("cordoned");
  expect(await ask()).toBe(503);
  expect((await workers("uncordon", engine.url, ...at)).code).toBe(0);
  expect(await ask()).toBe(200);
  expect((await workers("drain", engine.url, "--timeout", "20s", ...at)).out).toContain("ready,cordoned");
  expect(await workers("remove", engine.url, "--timeout", "20s", ...at)).toMatchObject({
    code: 0,
    out: `${engine.url} is removed\n`,
  });
  expect(await workers("cordon", engine.url, ...at)).toMatchObject({
    code: 2,
    err: expect.stringContaining("no worker has this id or url"),
  });
}, 60_000);
