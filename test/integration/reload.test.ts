import { expect, test } from "bun:test";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { TINY_MODEL, writeTinyModel } from "../support/tiny-model.ts";
import { ELSEWHERE, type GatewayProcess, startProcess } from "../support/process.ts";

/** Writes the file and has it read; resolves with the line that says what came of it. */
async function reload(gateway: GatewayProcess, file: string, text: string): Promise<Record<string, unknown>> {
  const lines = (): Record<string, unknown>[] => gateway.lines().filter(({ by }) => by === "SIGHUP");
  const before = lines().length;
  writeFileSync(file, text);
  gateway.signal("SIGHUP");
  for (;;) {
    const line = lines()[before];
    if (line) return line;
    await Bun.sleep(5);
  }
}

const CHAT = "/v1/chat/completions";
const named = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

for (const threads of [1, 2]) {
  test(`with ${threads} thread(s) a reload changes keys, limits, policies, workers, model names and the log level at once`, async () => {
    await using one = await startEngine({ model: "sim-1" });
    await using two = await startEngine({ model: "sim-2" });
    const file = join(ELSEWHERE, `reload-${threads}.yaml`);
    const first = `api_keys: [{ name: a, key: key-a }]\ninitial_workers: [{ url: "${one.url}" }]\nenable_igw: true\n`;
    writeFileSync(file, first);
    await using gateway = await startProcess(["--config", file, "--threads", String(threads)]);
    const url = gateway.url + CHAT;
    const ask = async (key: string, model: string): Promise<number> =>
      (await post(url, { ...HELLO, model }, { ...named(key), connection: "close" })).status;
    const untilServed = async (key: string, model: string): Promise<void> => {
      while ((await ask(key, model)) !== 200) await Bun.sleep(10);
    };
    await untilServed("key-a", "sim-1");
    expect([await ask("key-b", "sim-1"), await ask("key-a", "sim-2")]).toEqual([401, 404]);

    const line = await reload(
      gateway,
      file,
      [
        "api_keys: [{ name: b, key: key-b }]",
        `initial_workers: [{ url: "${one.url}" }, { url: "${two.url}" }]`,
        "enable_igw: true",
        "default_policy: round_robin",
        "model_aliases: [alias=sim-1]",
        "max_concurrent_requests: 100",
        "log_level: debug",
        "cors_allowed_origins: [https://a.example]",
      ].join("\n"),
    );
    expect(line).toMatchObject({ msg: "the configuration has changed", via: "signal", version: 2 });
    expect(JSON.stringify(line)).not.toMatch(/key-[ab]/);
    for (let time = 0; time < 4 * threads; time += 1) {
      expect([await ask("key-a", "sim-1"), await ask("key-b", "sim-1"), await ask("key-b", "alias")]).toEqual([
        401, 200, 200,
      ]);
    }
    await untilServed("key-b", "sim-2");
    const allowed = await post(url, HELLO, { ...named("key-b"), origin: "https://a.example" });
    expect(allowed.headers.get("access-control-allow-origin")).toBe("https://a.example");
    expect(await gateway.metric("pointsman_config_version")).toBe(2);

    const back = await reload(gateway, file, first);
    expect(back).toMatchObject({ version: 3 });
    await untilServed("key-a", "sim-1");
    expect([await ask("key-b", "sim-1"), await ask("key-a", "alias")]).toEqual([401, 404]);
  });
}

test("a reload that needs a restart, or that a part refuses, changes nothing", async () => {
  await using engine = await startEngine();
  const file = join(ELSEWHERE, "reload-refused.yaml");
  const first = `initial_workers: [{ url: "${engine.url}" }]\n`;
  writeFileSync(file, first);
  await using gateway = await startProcess(["--config", file, "--threads", "2"]);
  const refused = async (text: string): Promise<string> => String((await reload(gateway, file, text))["reason"]);
  const wanted = "queue_size: 3\nlog_level: error\n";
  expect(await refused(`${first}${wanted}decision_log_size: 4\n`)).toContain(
    "decision_log_size: 1000 -> 4 (needs a restart",
  );
  expect(await refused(`${wanted}initial_workers: [{ url: "${engine.url}", worker_type: prefill }]\n`)).toContain(
    "pd-disaggregation",
  );
  expect(await refused(`${first}${wanted}default_policy: nope\n`)).toContain('unknown policy "nope"');
  expect(await refused(`${first}queue_size: many\n`)).toContain("reload-refused.yaml:2:13");
  expect(await gateway.metric("pointsman_config_version")).toBe(1);
  expect(await gateway.metric("pointsman_config_failures_total", { via: "signal" })).toBe(4);
  expect(await gateway.metric("pointsman_config_differs_from_file")).toBe(1);
  // Nothing of it was taken: an access line is written at the level of before.
  const { headers } = await post(gateway.url + CHAT, HELLO);
  await gateway.accessLine(headers.get("x-request-id") ?? "");
  expect(await reload(gateway, file, first)).toMatchObject({ msg: "the configuration is as before", version: 1 });
  expect(await gateway.metric("pointsman_config_differs_from_file")).toBe(0);
});

test("fifty reloads under load on two threads fail no request, and cut no stream", async () => {
  await using one = await startEngine({ model: "sim-1" });
  await using two = await startEngine({ model: "sim-1" });
  const file = join(ELSEWHERE, "reload-load.yaml");
  const configs = [
    `initial_workers: [{ url: "${one.url}" }, { url: "${two.url}" }]\n`,
    `initial_workers: [{ url: "${one.url}" }, { url: "${two.url}", cost: 2 }]\ndefault_policy: cache_aware\nmax_concurrent_requests: 64\nrequest_timeout_secs: 77\n`,
    `initial_workers: [{ url: "${one.url}" }]\ndefault_policy: least_ttft\nsticky_sessions: true\nstream_keep_alive_secs: 3\n`,
  ];
  writeFileSync(file, configs[0] ?? "");
  await using gateway = await startProcess(["--config", file, "--threads", "2"]);
  while ((await post(gateway.url + CHAT, HELLO)).status !== 200) await Bun.sleep(10);
  const load = { isOver: false };
  const outcomes = new Map<string, number>();
  const client = async (number: number): Promise<void> => {
    for (let time = 0; !load.isOver; time += 1) {
      const stream = (number + time) % 2 === 0;
      const headers = time % 5 === 0 ? { connection: "close" } : {};
      const answer = await post(gateway.url + CHAT, { ...HELLO, stream, max_tokens: 8 }, headers);
      const text = await answer.text();
      const isWhole = stream ? text.endsWith("data: [DONE]\n\n") : text.includes('"finish_reason"');
      const outcome = answer.status === 200 && isWhole ? "whole" : `${answer.status} ${text.slice(0, 200)}`;
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  };
  const clients = Array.from({ length: 16 }, (_, number) => client(number));
  for (let time = 1; time <= 50; time += 1) {
    expect(await reload(gateway, file, configs[time % configs.length] ?? "")).toMatchObject({ version: time + 1 });
  }
  load.isOver = true;
  await Promise.all(clients);
  expect([...outcomes.keys()]).toEqual(["whole"]);
  expect(outcomes.get("whole")).toBeGreaterThan(50);
}, 60_000);

test("a secret in a file of its own is rotated by a reload; a key that is gone from there is refused", async () => {
  await using engine = await startEngine();
  const secret = join(ELSEWHERE, "client-key");
  const file = join(ELSEWHERE, "reload-secret.yaml");
  writeFileSync(secret, "key-one\n");
  const text = `api_key_file: ${secret}\ninitial_workers: [{ url: "\${ENGINE}" }]\nlog_level: \${LEVEL:-debug}\n`;
  writeFileSync(file, text);
  await using gateway = await startProcess(["--config", file, "--threads", "2"], { ENGINE: engine.url });
  const ask = async (key: string): Promise<number> =>
    (await post(gateway.url + CHAT, HELLO, { ...named(key), connection: "close" })).status;
  while ((await ask("key-one")) !== 200) await Bun.sleep(10);
  writeFileSync(secret, "key-two\n");
  expect(await reload(gateway, file, text)).toMatchObject({ version: 2, changes: ["~ api_key: another value"] });
  for (let time = 0; time < 6; time += 1) expect([await ask("key-one"), await ask("key-two")]).toEqual([401, 200]);
  writeFileSync(secret, "");
  expect(String((await reload(gateway, file, text))["reason"])).toContain("it is empty");
  expect(await ask("key-two")).toBe(200);
});

test("a watched file is taken when it changes: written, renamed into place, or behind a link that is swapped", async () => {
  await using engine = await startEngine();
  const mount = join(ELSEWHERE, "mounted");
  const text = (size: number): string => `queue_size: ${size}\ninitial_workers: [{ url: "${engine.url}" }]\n`;
  /** As Kubernetes does it: the file is a link through `..data`, which is swapped by a rename. */
  const swap = (generation: string, size: number): void => {
    mkdirSync(join(mount, generation), { recursive: true });
    writeFileSync(join(mount, generation, "p.yaml"), text(size));
    symlinkSync(generation, join(mount, "..data_tmp"));
    renameSync(join(mount, "..data_tmp"), join(mount, "..data"));
  };
  swap("..1", 1);
  symlinkSync("..data/p.yaml", join(mount, "p.yaml"));
  await using gateway = await startProcess(["--config", join(mount, "p.yaml"), "--watch-config", "--threads", "2"]);
  const change = async (version: number): Promise<Record<string, unknown>> => {
    for (;;) {
      const line = gateway.lines().find((one) => one["version"] === version && one["via"] === "file");
      if (line) return line;
      await Bun.sleep(20);
    }
  };
  swap("..2", 2);
  expect(await change(2)).toMatchObject({ changes: ["~ queue_size: 1 -> 2"] });
  writeFileSync(join(mount, "..2", "p.yaml"), text(3));
  expect(await change(3)).toMatchObject({ changes: ["~ queue_size: 2 -> 3"] });
  writeFileSync(join(mount, "..2", "p.yaml.new"), text(4));
  renameSync(join(mount, "..2", "p.yaml.new"), join(mount, "..2", "p.yaml"));
  expect(await change(4)).toMatchObject({ changes: ["~ queue_size: 3 -> 4"] });
}, 30_000);

test("a chat template is taken by a reload, also where only its file has changed; one that is none is refused", async () => {
  const { path, tokenizer } = await writeTinyModel();
  await using engine = await startGrpcEngine({ kind: "vllm", model: TINY_MODEL, tokenizer, tokenizerPath: path });
  const template = join(ELSEWHERE, "template.jinja");
  const file = join(ELSEWHERE, "reload-template.yaml");
  const text = `chat_template: ${template}\ninitial_workers: [{ url: "${engine.url}" }]\n`;
  writeFileSync(template, "one {{ messages[0].content }}");
  writeFileSync(file, text);
  await using gateway = await startProcess(["--config", file, "--threads", "2"]);
  const tokens = async (): Promise<number> => {
    const body = { model: TINY_MODEL, messages: [{ role: "user", content: "hello" }] };
    const answer = await post(`${gateway.url}/tokenize`, body, { connection: "close" });
    return ((await answer.json()) as { count?: number }).count ?? 0;
  };
  while ((await tokens()) === 0) await Bun.sleep(10);
  const before = await tokens();
  writeFileSync(template, "one {% if");
  expect(String((await reload(gateway, file, text))["reason"])).toContain("template");
  expect(await tokens()).toBe(before);
  writeFileSync(template, "one more word and another {{ messages[0].content }}");
  expect(await reload(gateway, file, text)).toMatchObject({ version: 1 });
  for (let time = 0; time < 6; time += 1) expect(await tokens()).toBeGreaterThan(before);
});

test("many signals at once, and a file that is gone, do no harm; a worker that has left is asked nothing any more", async () => {
  const asked = { questions: 0 };
  const leaving = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => {
      asked.questions += 1;
      return new Response("", { status: 503 });
    },
  });
  using _closing = { [Symbol.dispose]: () => void leaving.stop(true) };
  await using engine = await startEngine();
  const file = join(ELSEWHERE, "reload-signals.yaml");
  const text = (...urls: string[]): string =>
    `health_check_interval_secs: 0.05\ninitial_workers: [${urls.map((url) => `{ url: "${url}" }`).join(", ")}]\n`;
  writeFileSync(file, text(engine.url, leaving.url.origin));
  await using gateway = await startProcess(["--config", file, "--threads", "2"]);
  while (asked.questions < 3) await Bun.sleep(10);
  for (let time = 0; time < 50; time += 1) gateway.signal("SIGHUP");
  expect(await reload(gateway, file, text(engine.url))).toMatchObject({ by: "SIGHUP" });
  while ((await gateway.metric("pointsman_workers")) !== 1) await Bun.sleep(10);
  await Bun.sleep(200);
  const before = asked.questions;
  await Bun.sleep(500);
  expect(asked.questions).toBe(before);
  const refusals = (): Record<string, unknown>[] =>
    gateway.lines().filter(({ reason }) => String(reason).includes("there is no such file"));
  rmSync(file);
  gateway.signal("SIGHUP");
  while (refusals().length === 0) await Bun.sleep(10);
  while ((await post(gateway.url + CHAT, HELLO)).status !== 200) await Bun.sleep(10);
  expect(await reload(gateway, file, `${text(engine.url)}queue_size: 3\n`)).toMatchObject({
    changes: ["~ queue_size: 100 -> 3"],
  });
});

test("a file that is cut to nothing leaves the keys in force", async () => {
  const file = join(ELSEWHERE, "reload-cut.yaml");
  writeFileSync(file, "# keys\napi_keys: [{ name: a, key: key-a }]\n");
  await using gateway = await startProcess(["--config", file]);
  const ask = async (headers: Record<string, string>): Promise<number> =>
    (await fetch(`${gateway.url}/v1/models`, { headers })).status;
  for (const cut of ["", "# keys\n"]) {
    expect(await reload(gateway, file, cut)).toMatchObject({ level: 50 });
    expect([await ask({}), await ask(named("key-a"))]).toEqual([401, 200]);
  }
});
