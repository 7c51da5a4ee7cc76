import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { BIN, ELSEWHERE, type GatewayProcess, startProcess, SURROUNDINGS } from "../support/process.ts";

const ADMIN = "the-admin-key-of-these-tests";
const SERVING = "the-key-of-a-client-of-these-tests";
const KEY_FILE = join(ELSEWHERE, "admin-key");
writeFileSync(KEY_FILE, `${ADMIN}\n`);

interface Setup extends AsyncDisposable {
  readonly gateway: GatewayProcess;
  readonly file: string;
  /** The first lines of each configuration. */
  readonly base: string;
  /** Asks the administration. */
  ask(method: string, path: string, body?: string, headers?: Record<string, string>): Promise<Response>;
  cli(...argv: string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }>;
}

async function setUp(name: string, ...args: string[]): Promise<Setup> {
  const engine = await startEngine();
  const file = join(ELSEWHERE, `config-api-${name}.yaml`);
  const base = `admin_api_key: ${ADMIN}\napi_key: ${SERVING}\ninitial_workers: [{ url: "${engine.url}" }]\n`;
  writeFileSync(file, base);
  const gateway = await startProcess(["--config", file, ...args]);
  return {
    gateway,
    file,
    base,
    ask: (method, path, body, headers = {}) =>
      fetch(gateway.url + path, {
        method,
        headers: {
          authorization: `Bearer ${ADMIN}`,
          ...(body === undefined ? {} : { "content-type": "application/yaml" }),
          ...headers,
        },
        ...(body === undefined ? {} : { body }),
      }),
    async cli(...argv) {
      const child = Bun.spawn([BIN, "config", ...argv, "--url", gateway.url, "--admin-key-file", KEY_FILE], {
        stdout: "pipe",
        stderr: "pipe",
        env: SURROUNDINGS,
      });
      const [out, err, code] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
        child.exited,
      ]);
      return { code, out, err };
    },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await engine.stop();
    },
  };
}

async function json(answer: Response | Promise<Response>): Promise<Record<string, unknown>> {
  return (await (await answer).json()) as Record<string, unknown>;
}

for (const threads of ["1", "2"]) {
  describe(`the administration of a gateway with ${threads} thread(s)`, () => {
    test("shows the configuration in force without its secrets, changes it, and keeps its history", async () => {
      await using setup = await setUp(`life-${threads}`, "--threads", threads);
      const { ask, base, gateway } = setup;
      const first = await ask("GET", "/config");
      expect(first.headers.get("etag")).toBe('"1"');
      expect(await json(first)).toMatchObject({
        version: 1,
        differs_from_file: false,
        waits_for_restart: [],
        notices: [],
        config: { queue_size: 100, api_key: "[redacted]", admin_api_key: "[redacted]" },
      });

      const wanted = `${base}queue_size: 7\ndefault_policy: random\n`;
      const dry = await json(ask("POST", "/config?dry_run=true", wanted));
      expect(dry).toMatchObject({ version: 1 });
      expect(await gateway.metric("pointsman_config_version")).toBe(1);
      const changed = await ask("POST", "/config", wanted, { "if-match": '"1"' });
      expect([changed.status, changed.headers.get("etag")]).toEqual([200, '"2"']);
      expect(await json(changed)).toEqual({ ...dry, version: 2 });
      expect(await json(ask("GET", "/config"))).toMatchObject({
        version: 2,
        differs_from_file: true,
        read_from: "POST /config",
      });
      expect((await json(ask("GET", "/policies")))["default"]).toMatchObject({ policy: "random" });

      const late = await ask("POST", "/config", base, { "if-match": '"1"' });
      expect([late.status, await json(late)]).toMatchObject([412, { error: { code: "config_version_mismatch" } }]);
      expect(await json(ask("POST", "/config/rollback"))).toMatchObject({ version: 3 });
      expect((await json(ask("GET", "/policies")))["default"]).toMatchObject({ policy: "least_ttft" });
      const history = await ask("GET", "/config/history");
      const text = await history.text();
      expect(text).not.toMatch(new RegExp(`${ADMIN}|${SERVING}`));
      expect(JSON.parse(text)).toMatchObject({
        version: 3,
        history: [
          { version: 3, changes: ["~ default_policy: random -> least_ttft", "~ queue_size: 7 -> 100"] },
          { version: 2, changes: ["~ default_policy: least_ttft -> random", "~ queue_size: 100 -> 7"] },
          { version: 1, by: "start", changes: [] },
        ],
      });
      expect(await json(ask("POST", "/config/rollback?version=2"))).toMatchObject({ version: 4 });
      const gone = await ask("POST", "/config/rollback?version=77");
      expect([gone.status, JSON.stringify(await json(gone))]).toEqual([
        400,
        expect.stringContaining("kept are 4, 3, 2, 1"),
      ]);
      // The file is what counts when it is read again.
      expect(await json(ask("POST", "/config/reload"))).toMatchObject({ version: 5 });
      const line = (): unknown => gateway.lines().find(({ replaces }) => replaces === "what was set over the API");
      while (line() === undefined) await Bun.sleep(10);
      expect(line()).toMatchObject({ version: 5, via: "api" });
      expect(await json(ask("GET", "/config"))).toMatchObject({ differs_from_file: false });
    });

    test("refuses what is wrong, in words, and changes nothing", async () => {
      await using setup = await setUp(`wrong-${threads}`, "--threads", threads);
      const { ask, base, gateway } = setup;
      const refused = async (body: string, query = "", headers = {}): Promise<string> => {
        const answer = await ask("POST", `/config${query}`, body, headers);
        const { error } = (await answer.json()) as { error: { code: string; message: string } };
        return `${answer.status} ${error.code}: ${error.message}`;
      };
      expect(await refused(`${base}queue_size: many\n`)).toContain(
        "400 invalid_request: POST /config:4:13: queue_size must",
      );
      expect(await refused(`${base}queue_size: [`)).toContain("400 invalid_request: POST /config:");
      expect(await refused(`${base}decision_log_size: 5\nqueue_size: 7\n`)).toBe(
        "409 config_needs_restart: nothing is changed, because a running gateway cannot take: ~ decision_log_size: 1000 -> 5 (needs a restart: memory is laid out at the start)",
      );
      expect(await refused("")).toContain("must be a configuration");
      expect(await refused(base, "?dryrun=1")).toContain("unknown parameter");
      expect(await refused(base, "", { "if-match": "latest" })).toContain("If-Match");
      expect(await refused(base, "", { "content-type": "text/plain" })).toContain("415 unsupported_media_type");
      expect(await refused(base, "", { authorization: `Bearer ${SERVING}` })).toContain("403 forbidden");
      expect(await gateway.metric("pointsman_config_version")).toBe(1);
      // The rest of it, where the caller says so.
      const partly = await json(ask("POST", "/config?partial=true", `${base}decision_log_size: 5\nqueue_size: 7\n`));
      expect(partly).toMatchObject({
        version: 2,
        changes: [{ path: "queue_size" }],
        waits_for_restart: [{ path: "decision_log_size" }],
      });
      expect(await json(ask("GET", "/config"))).toMatchObject({
        waits_for_restart: [{ path: "decision_log_size", before: 1000, after: 5 }],
        config: { queue_size: 7, decision_log_size: 1000 },
      });
      // An option that waits is a change that others see: its version is another, and the history has it.
      const waits = `${base}decision_log_size: 6\nqueue_size: 7\n`;
      const sixth = await ask("POST", "/config?partial=true", waits, { "if-match": '"2"' });
      expect([sixth.headers.get("etag"), await json(sixth)]).toMatchObject(['"3"', { version: 3, changes: [] }]);
      expect(await refused(waits, "?partial=true", { "if-match": '"2"' })).toContain("412 config_version_mismatch");
      const line = (from: number, to: number): string =>
        `~ decision_log_size: ${from} -> ${to} (needs a restart: memory is laid out at the start)`;
      expect(await json(ask("GET", "/config/history"))).toMatchObject({
        history: [
          { version: 3, changes: [line(5, 6)], waits_for_restart: [line(1000, 6)] },
          { version: 2, changes: ["~ queue_size: 100 -> 7", line(1000, 5)], waits_for_restart: [line(1000, 5)] },
          { version: 1, changes: [], waits_for_restart: [] },
        ],
      });
      expect(await json(ask("POST", "/config/rollback"))).toMatchObject({
        version: 4,
        waits_for_restart: [{ path: "decision_log_size", after: 5 }],
      });
    });
  });
}

test("a key that has left is refused from the next request on, and answers that have begun go on", async () => {
  await using setup = await setUp("keys");
  const { ask, gateway, base } = setup;
  const paced = await startEngine({ instant: false, model: "slow" });
  try {
    const asked = base.replace(/url: "[^"]*"/, `url: "${paced.url}"`);
    expect((await ask("POST", "/config", asked)).status).toBe(200);
    const chat = (key: string, more = {}): Promise<Response> =>
      post(
        `${gateway.url}/v1/chat/completions`,
        { ...HELLO, model: "slow", ...more },
        { authorization: `Bearer ${key}` },
      );
    while ((await chat(SERVING, { max_tokens: 1 })).status !== 200) await Bun.sleep(10);
    const stream = await chat(SERVING, { stream: true, max_tokens: 20 });
    expect((await ask("POST", "/config", asked.replace(SERVING, "another-key"))).status).toBe(200);
    expect([(await chat(SERVING)).status, (await chat("another-key", { max_tokens: 1 })).status]).toEqual([401, 200]);
    expect(await stream.text()).toEndWith("data: [DONE]\n\n");
  } finally {
    await paced.stop();
  }
});

test("changes that come at once are made one after the other, and of those for one version only one is made", async () => {
  await using setup = await setUp("at-once", "--threads", "2");
  const { ask, base } = setup;
  const answers = await Promise.all(
    [1, 2, 3, 4, 5].map((size) => ask("POST", "/config", `${base}queue_size: ${size}\n`, { "if-match": '"1"' })),
  );
  expect(answers.map(({ status }) => status).sort((one, other) => one - other)).toEqual([200, 412, 412, 412, 412]);
  const winner = answers.findIndex(({ status }) => status === 200) + 1;
  expect(await json(ask("GET", "/config"))).toMatchObject({ version: 2, config: { queue_size: winner } });
});

test("the commands diff, apply, rollback and history do the same from a shell", async () => {
  await using setup = await setUp("cli");
  const { cli, file, base } = setup;
  const other = join(ELSEWHERE, "config-api-other.yaml");
  writeFileSync(other, `${base}queue_size: 5\n`);
  expect(await cli("diff")).toEqual({ code: 0, out: "", err: "" });
  expect(await cli("diff", other)).toEqual({ code: 1, out: "~ queue_size: 100 -> 5\n", err: "" });
  expect(await cli("apply", other)).toEqual({
    code: 0,
    out: "~ queue_size: 100 -> 5\n",
    err: "pointsman: the configuration has version 2\n",
  });
  writeFileSync(file, `${base}queue_size: 6\n`);
  expect((await cli("diff")).out).toBe("~ queue_size: 5 -> 6\n");
  expect((await cli("apply", "--if-version", "1")).code).toBe(2);
  expect((await cli("apply")).err).toContain("version 3");
  expect((await cli("rollback", "1")).out).toBe("~ queue_size: 6 -> 100\n");
  const { out } = await cli("history");
  expect(
    out
      .split("\n")
      .filter((line) => !line.startsWith("    "))
      .map((line) => line.slice(0, 1)),
  ).toEqual(["4", "3", "2", "1", ""]);
  writeFileSync(other, `${base}queue_size: many\n`);
  const wrong = await cli("diff", other);
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining("queue_size must be a whole number")]);
}, 30_000);

test("the commands say what is wrong with the way to the gateway, with exit code 2", async () => {
  const ask = (...argv: string[]): { code: number; err: string } => {
    const { exitCode, stderr } = Bun.spawnSync([BIN, "config", "diff", ...argv], {
      env: { ...SURROUNDINGS, POINTSMAN_ADMIN_API_KEY: "" },
    });
    return { code: exitCode, err: stderr.toString() };
  };
  expect(ask("--url", "http://127.0.0.1:1")).toEqual({
    code: 2,
    err: expect.stringContaining("the gateway does not answer"),
  });
  expect(ask("--admin-key-file", "/nowhere")).toEqual({ code: 2, err: "pointsman: /nowhere: there is no such file\n" });
  await using setup = await setUp("no-key");
  expect(ask("--url", setup.gateway.url)).toEqual({
    code: 2,
    err: expect.stringContaining("the admin key is missing or wrong"),
  });
});

test("a document over the API names no file and no variable that the gateway's own file does not name", async () => {
  await using setup = await setUp("outside");
  const { ask, base, file } = setup;
  const secret = join(ELSEWHERE, "not-for-callers");
  writeFileSync(secret, "what-callers-must-not-get");
  const refused = async (text: string): Promise<string> => {
    const answer = await ask("POST", "/config", base + text);
    return `${answer.status} ${await answer.text()}`;
  };
  expect(await refused(`worker_api_key_file: ${secret}\n`)).toMatch(/^400 .*a document from elsewhere may not/);
  expect(await refused("worker_api_key: ${HOME}\n")).toMatch(/^400 .*a document from elsewhere may not use it/);
  // What the file names may be used, and an earlier configuration comes back with what it named.
  writeFileSync(file, `${base}worker_api_key_file: ${secret}\n`);
  expect((await ask("POST", "/config/reload")).status).toBe(200);
  expect((await ask("POST", "/config", `${base}worker_api_key_file: ${secret}\nqueue_size: 7\n`)).status).toBe(200);
  writeFileSync(file, base);
  expect((await ask("POST", "/config/reload")).status).toBe(200);
  expect(await refused(`worker_api_key_file: ${secret}\n`)).toMatch(/^400 /);
  expect((await ask("POST", "/config/rollback?version=3")).status).toBe(200);
});
