import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BIN, ELSEWHERE, startProcess } from "../support/process.ts";

const folder = mkdtempSync(join(tmpdir(), "pointsman-keys-cli-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function keys(...words: string[]): Promise<Ran> {
  return keysWith({}, ...words);
}

async function keysWith(more: Readonly<Record<string, string>>, ...words: string[]): Promise<Ran> {
  const env = { ...process.env, ...more };
  const child = Bun.spawn([BIN, "keys", ...words], { cwd: ELSEWHERE, env, stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, out, err };
}

/** The commands do the same in the file of the store and at a running gateway. */
async function tryAll(where: readonly string[]): Promise<void> {
  const made = await keys("create", "team", "--models", "a-*", "--expires-in", "90d", ...where);
  expect([made.code, made.err]).toEqual([0, "pointsman: the key team is shown this once\n"]);
  expect(made.out).toMatch(/^pm-[a-z2-9]{12}-[\w-]{43}\n$/);
  expect(await keys("create", "team", ...where)).toMatchObject({
    code: 2,
    out: "",
    err: expect.stringContaining("already"),
  });
  expect((await keys("update", "team", "--models", "none", "--tokens-per-minute", "900", ...where)).out).toContain(
    "models: -\nrequests_per_minute: -\ntokens_per_minute: 900\n",
  );
  const rotated = JSON.parse((await keys("rotate", "team", "--grace", "0", "--json", ...where)).out) as { key: string };
  expect(rotated.key).not.toBe(made.out.trimEnd());
  const list = await keys("list", ...where);
  expect(list.out).toMatch(/^id +name +state .*\n(?:.*\n)*[a-z2-9]{12} +team +valid +client +- +normal +20.*Z\n$/);
  expect((await keys("revoke", "team", ...where)).out).toContain("state: revoked\n");
  expect((await keys("show", "team", ...where)).out).toContain("state: revoked\n");
  expect(await keys("show", "nobody", ...where)).toMatchObject({
    code: 2,
    err: expect.stringContaining("no key has this id or name"),
  });
}

test("keys are made, shown, changed, rotated and revoked in the file of a store", async () => {
  await tryAll(["--key-store", join(folder, "own.db")]);
}, 60_000);

test("and at a running gateway", async () => {
  const keyFile = join(folder, "admin-key");
  writeFileSync(keyFile, "root-key\n");
  await using gateway = await startProcess(["--key-store", join(folder, "gateway.db"), "--admin-api-key", "root-key"]);
  await tryAll(["--url", gateway.url, "--admin-key-file", keyFile]);
  const refused = await keys("list", "--url", gateway.url);
  expect([refused.code, refused.err]).toEqual([2, expect.stringContaining("`admin_api_key`")]);
}, 60_000);

test("a store that is not there is made by `create` only: a name that is spelt wrong is told, and leaves no file", async () => {
  const store = join(folder, "spelt-wrong.db");
  for (const words of [["list"], ["show", "a"], ["update", "a"], ["rotate", "a"], ["revoke", "a"]]) {
    expect(await keys(...words, "--key-store", store)).toEqual({
      code: 2,
      out: "",
      err: `pointsman: ${store}: there is no such file; \`keys create\` makes one\n`,
    });
  }
  expect(existsSync(store)).toBe(false);
}, 60_000);

test("the admin key goes to the gateway alone, whatever proxy the environment names, and an empty file is none", async () => {
  const seen: string[] = [];
  using proxy = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      seen.push(request.url);
      return new Response("a proxy", { status: 502 });
    },
  });
  await using gateway = await startProcess(["--key-store", join(folder, "proxied.db"), "--admin-api-key", "root-key"]);
  const through = `http://127.0.0.1:${proxy.port}`;
  const env = { http_proxy: through, HTTP_PROXY: through, POINTSMAN_ADMIN_API_KEY: "root-key" };
  expect(await keysWith(env, "list", "--url", gateway.url)).toMatchObject({ code: 0, err: "" });
  expect(seen).toEqual([]);
  const empty = join(folder, "empty");
  writeFileSync(empty, "\n");
  expect(await keys("list", "--url", gateway.url, "--admin-key-file", empty)).toMatchObject({
    code: 2,
    err: `pointsman: ${empty}: there is no key in the file\n`,
  });
}, 60_000);
