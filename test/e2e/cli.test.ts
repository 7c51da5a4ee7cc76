import { describe, expect, test } from "bun:test";
import { rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openRaw, rawPost } from "../support/client.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { BIN as bin, ELSEWHERE as elsewhere, startProcess as start } from "../support/process.ts";

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const child = Bun.spawn([bin, ...args], {
    cwd: elsewhere,
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, ...env },
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out, err };
}

function file(name: string, text: string): string {
  const path = join(elsewhere, name);
  writeFileSync(path, text);
  return path;
}

describe("what cannot be taken is one sentence and exit code 2", () => {
  const cases: readonly [name: string, args: readonly string[], message: string][] = [
    ["an unknown flag", ["--prot", "1"], "--prot: there is no such option; did you mean --port?"],
    [
      "a flag of another gateway",
      ["--enable-mesh"],
      "--enable-mesh: several gateways that share state are not built yet",
    ],
    ["a flag of another gateway with a value", ["--mcp-config-path=/x"], "--mcp-config-path: MCP is not built yet"],
    [
      "a prefill worker where prefill and decode are not apart",
      ["--prefill", "http://gpu1:8000"],
      "--prefill: a prefill worker needs --pd-disaggregation",
    ],
    ["a parser that is none", ["--tool-call-parser", "nope"], '--tool-call-parser: there is no parser "nope"'],
    ["a tokenizer that is not there", ["--enable-grpc", "--tokenizer-path", "/nowhere"], "/nowhere"],
    ["a wrong value", ["--port", "many"], '--port: must be a whole number from 0 to 65535, not "many"'],
    ["a file that is not there", ["--config", "none.yaml"], "none.yaml: there is no such file"],
    [
      "a wrong file",
      ["--config", file("wrong.yaml", "port: 1\nprot: 2\n")],
      "wrong.yaml:2:1: unknown key prot; did you mean port?",
    ],
    ["an unknown policy", ["--policy", "nope"], '--policy: unknown policy "nope"'],
    [
      "a policy module that is none",
      ["--policy-module", file("none.ts", "export const x = 1;"), "--policy", "x"],
      "must export default { name, create }",
    ],
    [
      "a policy module that does not parse",
      ["--policy-module", file("syntax.ts", "export default {\n  name: 4 4 };"), "--policy", "x"],
      "line 2, column 11: ",
    ],
    [
      "a policy module that throws",
      ["--policy-module", file("throws.ts", 'throw new Error("boom at load");'), "--policy", "x"],
      "cannot be loaded: boom at load",
    ],
    [
      "a policy module whose create() throws",
      [
        "--policy-module",
        file("create.ts", 'export default { name: "x", create() { throw new Error("no"); } };'),
        "--policy",
        "x",
      ],
      "create() of the policy module",
    ],
    [
      "a policy module with the name of a built-in policy",
      [
        "--policy-module",
        file("shadow.ts", 'export default { name: "random", create: () => ({ select: () => 0 }) };'),
        "--policy",
        "random",
      ],
      "takes the name of a built-in policy, random",
    ],
    ["a policy module that is not there", ["--policy-module", "/nowhere.ts", "--policy", "x"], "there is no such file"],
    ["a stray word", ["serve", "surprise"], "surprise: there is no such command"],
    [
      "one key for both",
      ["--api-key", "same", "--admin-api-key", "same"],
      "--admin-api-key: the admin key must be another",
    ],
  ];
  for (const [name, args, message] of cases) {
    test(name, async () => {
      const { code, out, err } = await run(args);
      expect([code, out]).toEqual([2, ""]);
      expect(err).toContain(message);
      expect(err.trim().split("\n").length).toBeLessThanOrEqual(2);
      expect(err).not.toMatch(/\n\s+at /);
    });
  }

  test("an address that is taken", async () => {
    await using first = await start([]);
    const { port } = new URL(first.url);
    const { code, err } = await run(["--host", "127.0.0.1", "--port", port, "--prometheus-port", "0"]);
    expect([code, err]).toEqual([2, `pointsman: --port: 127.0.0.1:${port} is in use (EADDRINUSE)\n`]);
  });

  test("a port for metrics that is taken", async () => {
    await using first = await start([]);
    const { port } = new URL(first.url);
    const { code, err } = await run([
      "--host",
      "127.0.0.1",
      "--port",
      "0",
      "--prometheus-host",
      "127.0.0.1",
      "--prometheus-port",
      port,
    ]);
    expect([code, err]).toEqual([2, `pointsman: --prometheus-port: 127.0.0.1:${port} is in use (EADDRINUSE)\n`]);
  });
});

test("check prints what the configuration comes to, secrets redacted", async () => {
  const path = file("good.yaml", "api_key: hush\nqueue_size: 7\ninitial_workers: [{url: http://a:1, api_key: hush}]\n");
  const { code, out } = await run(["check", "--config", path, "--port", "1234"], { POINTSMAN_CACHE_THRESHOLD: "0.9" });
  expect(code).toBe(0);
  expect(out).toContain(`queue_size: 7 # ${path}:2:13\n`);
  expect(out).toContain("port: 1234 # --port\n");
  expect(out).toContain("cache_threshold: 0.9 # POINTSMAN_CACHE_THRESHOLD\n");
  expect(out).toContain('api_key: "[redacted]"');
  expect(out).not.toContain("hush");
  const again = file("again.yaml", out.replaceAll('"[redacted]"', "x"));
  expect((await run(["check", "--config", again])).code).toBe(0);
});

test("help names the commands, and each option with its default and variable", async () => {
  const { code, out } = await run(["serve", "--help"]);
  expect(code).toBe(0);
  for (const text of [
    "--worker-urls [urls...]",
    "--policy <value>",
    "(default: 30000)",
    "[POINTSMAN_PORT]",
    "Health checks:",
  ])
    expect(out).toContain(text);
  const { out: top } = await run(["--help"]);
  for (const text of ["serve", "check", "demo", "engine"]) expect(top).toContain(text);
  expect((await run(["--version"])).out.trim()).toMatch(/^\d+\.\d+\.\d+$/);
});

test("flags as other gateways' users write them, through a symbolic link", async () => {
  await using one = await startEngine();
  await using two = await startEngine();
  const link = join(elsewhere, "pm");
  symlinkSync(bin, link);
  const child = Bun.spawn(
    [
      link,
      "launch",
      "--worker-urls",
      one.url,
      two.url,
      "--policy",
      "round_robin",
      "--host",
      "127.0.0.1",
      "--port",
      "0",
      "--prometheus-port",
      "0",
      "--retry-max-retries",
      "5",
      "--shutdown-delay-secs",
      "0",
    ],
    { cwd: elsewhere, stdout: "pipe", stderr: "inherit" },
  );
  const { value } = await child.stdout.getReader().read();
  const started = JSON.parse(
    Buffer.from(value ?? [])
      .toString()
      .split("\n")[0] ?? "",
  ) as Record<string, unknown>;
  expect([started["workers"], started["policy"]]).toEqual([2, "round_robin"]);
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
  rmSync(link);
});

test("the program serves, logs one access line a request, and shows its metrics", async () => {
  await using engine = await startEngine();
  await using gateway = await start(["--worker", engine.url]);
  while (!(await fetch(`${gateway.url}/readiness`)).ok) await Bun.sleep(10);
  const response = await post(`${gateway.url}/v1/chat/completions`, HELLO, { "x-request-id": "e2e-1" });
  expect(response.status).toBe(200);
  while (!gateway.output.includes("e2e-1")) await Bun.sleep(20);
  const line = JSON.parse(gateway.output.split("\n").find((text) => text.includes("e2e-1")) ?? "") as Record<
    string,
    unknown
  >;
  expect(Object.keys(line)).toEqual(
    expect.arrayContaining([
      "request_id",
      "model",
      "worker",
      "policy",
      "attempts",
      "status",
      "prompt_tokens",
      "completion_tokens",
      "duration_ms",
    ]),
  );
  expect(await (await fetch(`${gateway.url}/metrics`)).text()).toContain("pointsman_requests_total");
});

test("the first line is a line of the log, with the address that is listened on", async () => {
  await using gateway = await start(["--shutdown-delay-secs", "0"]);
  expect(gateway.started).toMatchObject({ event: "listening", level: 30, msg: "listening", workers: 0 });
  expect(Date.parse(String(gateway.started["time"]))).toBeGreaterThan(0);
  expect(new URL(gateway.url).hostname).toBe("127.0.0.1");
});

describe("workers that want a key", () => {
  /** Whether the gateway becomes ready, and what it answers then. */
  async function answers(args: readonly string[], env: Record<string, string>, clientKey: string): Promise<unknown> {
    await using gateway = await start(args, env);
    for (let tries = 0; !(await fetch(`${gateway.url}/readiness`)).ok && tries < 500; tries += 1) await Bun.sleep(10);
    const models = await fetch(`${gateway.url}/v1/models`, { headers: { authorization: `Bearer ${clientKey}` } });
    const chat = await post(`${gateway.url}/v1/chat/completions`, HELLO, { authorization: `Bearer ${clientKey}` });
    return [((await models.json()) as { data: unknown[] }).data.length, chat.status];
  }

  test("and are named by flags or variables get the gateway's, for probes as for requests", async () => {
    await using engine = await startEngine({ apiKey: "shared" });
    const line = `--api-key shared --enable-igw --worker-urls ${engine.url} --policy cache_aware --eviction-interval 60`;
    expect(await answers(line.split(" "), {}, "shared")).toEqual([1, 200]);
    const env = { POINTSMAN_API_KEY: "shared", POINTSMAN_WORKER_URLS: `${engine.url}/v1` };
    expect(await answers([], env, "shared")).toEqual([1, 200]);
  });

  test("get another where one is given", async () => {
    await using engine = await startEngine({ apiKey: "theirs" });
    const args = ["--api-key", "ours", "--worker-api-key", "theirs", "--worker-urls", engine.url];
    expect(await answers(args, {}, "ours")).toEqual([1, 200]);
  });

  test("and are added over the API get none but their own", async () => {
    await using engine = await startEngine({ apiKey: "shared" });
    await using gateway = await start(["--api-key", "shared", "--worker-api-key", "shared"]);
    const headers = { authorization: "Bearer shared", "content-type": "application/json" };
    const add = async (body: object): Promise<Record<string, unknown>> => {
      const added = await fetch(`${gateway.url}/add_worker`, { method: "POST", headers, body: JSON.stringify(body) });
      return ((await added.json()) as { worker: Record<string, unknown> }).worker;
    };
    expect((await add({ url: engine.url }))["has_api_key"]).toBe(false);
    expect((await add({ url: "http://127.0.0.1:9", api_key: "own" }))["has_api_key"]).toBe(true);
  });
});

test("metrics have a port of their own where one is given", async () => {
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
  const { port } = probe;
  probe.stop(true);
  await using gateway = await start(["--prometheus-host", "127.0.0.1", "--prometheus-port", String(port)]);
  expect(gateway.started["metrics_url"]).toBe(`http://127.0.0.1:${port}`);
  expect(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).toContain("pointsman_build_info");
  expect((await fetch(`http://127.0.0.1:${port}/workers`)).status).toBe(404);
});

describe("SIGTERM", () => {
  test("fails readiness first, serves on for a moment, lets a stream finish, and exits with 0", async () => {
    await using engine = await startEngine({ instant: false, timing: { decodeMs: 30 } });
    await using gateway = await start(["--worker", engine.url, "--shutdown-delay-secs", "0.4"]);
    while (!(await fetch(`${gateway.url}/readiness`)).ok) await Bun.sleep(10);
    const client = await openRaw(
      gateway.url,
      rawPost("/v1/chat/completions", { ...HELLO, stream: true, max_tokens: 30, ignore_eos: true }),
    );
    await client.until("content");
    gateway.signal("SIGTERM");
    while ((await fetch(`${gateway.url}/readiness`)).status !== 503) await Bun.sleep(5);
    const late = await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, max_tokens: 1 });
    expect([late.status, late.headers.get("connection")]).toEqual([200, "close"]);
    expect(await client.until("[DONE]")).not.toContain('"error"');
    expect(await gateway.exited).toBe(0);
  });

  test("what is not finished at the end is told that it is cut", async () => {
    await using engine = await startEngine({ instant: false, timing: { decodeMs: 50 } });
    const times = ["--shutdown-delay-secs", "0", "--shutdown-grace-period-secs", "1"];
    await using gateway = await start(["--worker", engine.url, ...times]);
    while (!(await fetch(`${gateway.url}/readiness`)).ok) await Bun.sleep(10);
    const long = { ...HELLO, stream: true, max_tokens: 5000, ignore_eos: true };
    const clients = await Promise.all(
      ["/v1/chat/completions", "/v1/messages"].map((path) => openRaw(gateway.url, rawPost(path, long))),
    );
    await Promise.all(clients.map((client) => client.until("data:")));
    const signalled = performance.now();
    gateway.signal("SIGTERM");
    const [chat, messages] = await Promise.all(
      clients.map(async (client) => {
        await client.closed;
        return client.received;
      }),
    );
    expect(chat).toContain('"code":"server_shutting_down"');
    expect(chat).not.toContain("[DONE]");
    expect(messages).toContain("event: error\n");
    expect(messages).not.toContain("message_stop");
    expect(await gateway.exited).toBe(0);
    expect(performance.now() - signalled).toBeLessThan(2000);
  });

  test("twice ends it at once", async () => {
    await using engine = await startEngine({ instant: false, timing: { decodeMs: 1000 } });
    await using gateway = await start(["--worker", engine.url]);
    while (!(await fetch(`${gateway.url}/readiness`)).ok) await Bun.sleep(10);
    const client = await openRaw(
      gateway.url,
      rawPost("/v1/chat/completions", { ...HELLO, stream: true, max_tokens: 20 }),
    );
    await client.until("content");
    gateway.signal("SIGTERM");
    while ((await fetch(`${gateway.url}/readiness`)).status !== 503) await Bun.sleep(5);
    gateway.signal("SIGTERM");
    expect(await gateway.exited).toBe(1);
  });
});

test("the demo prints curl lines that work as printed", async () => {
  const child = Bun.spawn([bin, "demo", "--port", "0"], { cwd: elsewhere, stdout: "pipe", stderr: "inherit" });
  let output = "";
  for await (const bytes of child.stdout) {
    output += Buffer.from(bytes).toString();
    if (output.includes("Ctrl-C")) break;
  }
  const lines = output.split("\n").filter((line) => line.trim().startsWith("curl"));
  const answers = await Promise.all(
    lines.map((line) => new Response(Bun.spawn(["sh", "-c", line], { stdout: "pipe" }).stdout).text()),
  );
  expect(lines.length).toBe(3);
  expect(JSON.parse(answers[0] ?? "")).toMatchObject({ object: "chat.completion" });
  expect(answers[1]?.trim().endsWith("data: [DONE]")).toBe(true);
  expect(JSON.parse(answers[2] ?? "")).toMatchObject({ total: 3 });
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
});
