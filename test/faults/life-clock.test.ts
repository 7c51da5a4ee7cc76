import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { chunk, jsonAnswer, startEngine, startRawEngine, STREAM_HEAD } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { ELSEWHERE } from "../support/process.ts";
import { CHAT, expectCut, expectError } from "./apis.ts";
import { ask, repeat, tally } from "./ask.ts";
import { eventually, expectSameProcessServes, observe } from "./observe.ts";
import { chat, type FaultGateway, startFaultGateway } from "./setup.ts";

const BREAKER_OPEN_MS = 400;
const KEY = { authorization: "Bearer quiet-key" };
const LIMITED = { authorization: "Bearer limited-key" };
const ADMIN = { authorization: "Bearer admin-key" };

let gateway: FaultGateway;
beforeAll(async () => {
  const config = join(ELSEWHERE, "clock.yaml");
  writeFileSync(
    config,
    "api_keys:\n  - name: quiet\n    key: quiet-key\n  - name: limited\n    key: limited-key\n    requests_per_minute: 60\n",
  );
  const flags = [
    ...["--config", config, "--admin-api-key", "admin-key"],
    ...["--cb-failure-threshold", "3", "--cb-success-threshold", "1"],
    ...["--cb-timeout-duration-secs", String(BREAKER_OPEN_MS / 1000)],
  ];
  const env = { BUN_OPTIONS: `--preload ${join(import.meta.dir, "jumping-clock.ts")}` };
  gateway = await startFaultGateway(flags, { call: KEY, admin: ADMIN }, env);
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
});

describe("while the wall clock jumps by an hour and by ten years", () => {
  test("row 104: the bounds on a worker's silence hold", async () => {
    await using silent = await startRawEngine(() => undefined);
    await using stalling = await startRawEngine(({ write }) => write(STREAM_HEAD + chunk(CHAT.delta("one", 0))));
    await using _silent = await gateway.serve("m104-silent", [silent.url]);
    await using _stalling = await gateway.serve("m104-stalls", [stalling.url]);
    const [late, stalled] = await Promise.all([
      ask(gateway, CHAT, "m104-silent"),
      ask(gateway, CHAT, "m104-stalls", { stream: true }),
    ]);
    expectError(CHAT, late, 504, { code: "upstream_timeout" });
    expectCut(CHAT, stalled, ["one"], { code: "upstream_stalled" });
    for (const { ms } of [late, stalled]) expect(ms).toBeWithin(750, 1350);
    observe(104, `bounds of 1,000 ms: first byte ${late.ms.toFixed(0)} ms, idle ${stalled.ms.toFixed(0)} ms`);
  });

  test("row 104: a breaker opens, and closes when its time is over", async () => {
    let isBroken = true;
    await using flaky = await startRawEngine(({ write, reset }) =>
      isBroken ? reset() : write(jsonAnswer(CHAT.whole("well"))),
    );
    await using good = await startEngine({ model: "m104-breaker" });
    await using served = await gateway.serve("m104-breaker", [flaky.url, good.url]);
    const breaker = async (): Promise<unknown> => (await viewOf(served.ids[0]))["breaker"];
    await repeat(8, 1, (seed) => ask(gateway, CHAT, "m104-breaker", { seed }));
    expect(await breaker()).toBe("open");
    const from = performance.now();
    isBroken = false;
    await eventually(async () => (await breaker()) === "half_open", "it may be proved");
    const openMs = performance.now() - from;
    expect(openMs).toBeWithin(BREAKER_OPEN_MS - 250, BREAKER_OPEN_MS + 250);
    await repeat(4, 1, (seed) => ask(gateway, CHAT, "m104-breaker", { seed }));
    expect(await breaker()).toBe("closed");
    observe(104, `breaker of ${BREAKER_OPEN_MS} ms: half open after ${openMs.toFixed(0)} ms`);
  });

  test("row 104: a worker rests for as long as it said", async () => {
    const asked: number[] = [];
    await using busy = await startRawEngine(({ write }) => {
      asked.push(performance.now());
      write(jsonAnswer("{}", "503 Service Unavailable", "retry-after: 1\r\n"));
    });
    await using good = await startEngine({ model: "m104-rest" });
    await using _served = await gateway.serve("m104-rest", [busy.url, good.url]);
    const until = performance.now() + 1800;
    const statuses: number[] = [];
    while (performance.now() < until) {
      statuses.push((await ask(gateway, CHAT, "m104-rest")).status);
      await Bun.sleep(10);
    }
    expect(tally(statuses)).toEqual({ 200: statuses.length });
    const pauses = asked.slice(1).map((at, index) => at - (asked[index] ?? 0));
    expect(pauses.length).toBeGreaterThanOrEqual(1);
    for (const pause of pauses) expect(pause).toBeWithin(1000, 1300);
    observe(104, `rest of 1,000 ms: asked again after ${Math.min(...pauses).toFixed(0)} ms`);
  });

  test("row 104: a key's requests a minute are neither given away nor kept back", async () => {
    await using engine = await startEngine({ model: "m104-limit" });
    await using _served = await gateway.serve("m104-limit", [engine.url]);
    const send = async (): Promise<number> => (await post(gateway.url + CHAT.path, chat("m104-limit"), LIMITED)).status;
    const from = performance.now();
    const statuses = tally(await repeat(200, 1, send));
    const earned = Math.ceil((performance.now() - from) / 1000);
    expect(statuses[200]).toBeWithin(60, 60 + earned + 1);
    await Bun.sleep(1100);
    expect(await send()).toBe(200);
    observe(104, `60 requests a minute: ${statuses[200]} of 200 at once`);
  });

  test("row 104: no time in a log line is less than none or more than it was", async () => {
    const from = performance.now();
    await using engine = await startEngine({ model: "m104-log" });
    await using _served = await gateway.serve("m104-log", [engine.url]);
    await repeat(300, 8, (seed) => ask(gateway, CHAT, "m104-log", { stream: seed % 2 === 0, seed }));
    const lines = gateway.lines().filter((line) => line["msg"] === "request");
    const durations = lines.flatMap((line) =>
      Object.entries(line).filter((entry): entry is [string, number] => entry[0].endsWith("_ms")),
    );
    expect(durations.length).toBeGreaterThan(300);
    const strange = durations.filter(([, ms]) => !(ms >= 0 && ms < 5000 + performance.now() - from));
    expect(strange).toEqual([]);
    // Otherwise the clock would not have jumped.
    const years = lines.map((line) => new Date(String(line["time"])).getFullYear());
    expect(Math.max(...years) - Math.min(...years)).toBeGreaterThanOrEqual(19);
    observe(
      104,
      `${durations.length} durations in log lines of ${Math.max(...years) - Math.min(...years)} years: none negative`,
    );
  });

  async function viewOf(id: string | undefined): Promise<Record<string, unknown>> {
    return (await (await fetch(`${gateway.url}/workers/${id}`, { headers: ADMIN })).json()) as Record<string, unknown>;
  }
});
