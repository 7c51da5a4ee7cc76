import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../faults/observe.ts";
import { BIN, ELSEWHERE, startProcess } from "../support/process.ts";
import { TEST_PAIRS } from "../support/tls.ts";
import { mountSecret } from "../support/tls-files.ts";

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

test("a key that the file gets under the name of a key of the configuration is told by the gateway, and one the other way round is refused", async () => {
  const store = join(folder, "names.db");
  const file = join(folder, "names.yaml");
  const write = (...names: string[]): void =>
    writeFileSync(
      file,
      JSON.stringify({
        key_store: store,
        admin_api_key: "root-key",
        api_keys: names.map((name) => ({ name, key: `the-text-of-${name}` })),
      }),
    );
  write("search");
  await using gateway = await startProcess(["--config", file]);
  expect((await keys("create", "search", "--key-store", store)).code).toBe(0);
  expect((await keys("create", "batch", "--key-store", store)).code).toBe(0);
  const told = (): unknown[] =>
    gateway.lines().filter(({ msg }) => String(msg).includes("the usage of both is counted as one"));
  await eventually(() => told().length > 0, "it is told");
  expect(told()).toMatchObject([{ key: "search" }]);
  write("search", "batch");
  const headers = { authorization: "Bearer root-key" };
  const answer = await fetch(`${gateway.url}/config/reload`, { method: "POST", headers });
  expect([answer.status, await answer.json()]).toMatchObject([
    409,
    { error: { code: "key_exists", message: expect.stringContaining('the key store has a valid key named "batch"') } },
  ]);
  expect((await keys("revoke", "batch", "--key-store", store)).code).toBe(0);
  expect((await fetch(`${gateway.url}/config/reload`, { method: "POST", headers })).status).toBe(200);
}, 60_000);

test("why a gateway does not answer is told in words, with exit code 2", async () => {
  using secret = mountSecret(TEST_PAIRS.client);
  using silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: (socket) => void socket.end() } });
  using secure = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: TEST_PAIRS.first,
    fetch: () => new Response(""),
  });
  using elsewhere = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => Response.redirect("http://x.test/"),
  });
  const none = join(folder, "no-certificate.pem");
  writeFileSync(none, "hello");
  const cases: readonly (readonly [url: string, words: string, ...more: string[]])[] = [
    ["http://127.0.0.1:9", "it refuses connections: nobody listens at this address (ECONNREFUSED)"],
    ["http://no-such-host.invalid:1", "its name does not resolve (ENOTFOUND)"],
    [`http://127.0.0.1:${silent.port}`, "it broke the connection (ECONNRESET)"],
    [`https://127.0.0.1:${elsewhere.port}`, "the TLS handshake failed: it speaks no TLS there"],
    [`https://localhost:${secure.port}`, "no authority that is trusted here has signed its certificate"],
    [`http://127.0.0.1:${elsewhere.port}`, "it sends the question on to another address, which is not asked"],
  ];
  for (const [url, words] of cases) {
    const { code, out, err } = await keys("list", "--url", url);
    expect([code, out, err]).toEqual([
      2,
      "",
      expect.stringContaining(`pointsman: ${url}: the gateway does not answer: ${words}`),
    ]);
  }
  const found = await keys("list", "--url", `https://localhost:${secure.port}`, "--ca-file", secret.caPath);
  expect([found.code, found.err]).toEqual([
    2,
    `pointsman: https://localhost:${secure.port}: it answers 200 with no JSON object, so it is not the administration of a gateway\n`,
  ]);
  expect(await keys("list", "--url", `https://localhost:${secure.port}`, "--ca-file", none)).toMatchObject({
    code: 2,
    err: `pointsman: ${none}: there is no certificate (PEM) in the file\n`,
  });
}, 60_000);
