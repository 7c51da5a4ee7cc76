import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { ELSEWHERE } from "../support/process.ts";
import { eventually, expectSameProcessServes, observe } from "./observe.ts";
import { chat, type FaultGateway, startFaultGateway } from "./setup.ts";
import { exchange, head, jsonPost, openWire } from "./wire.ts";

const CHAT = "/v1/chat/completions";
const DELAY_SECS = 0.5;
const GRACE_SECS = 3;
/** From SIGTERM to the end. */
const TOTAL_MS = (DELAY_SECS + GRACE_SECS) * 1000;
const GRACE = [
  "--shutdown-delay-secs",
  String(DELAY_SECS),
  "--shutdown-grace-period-secs",
  String(GRACE_SECS),
  "--request-timeout-secs",
  "60",
  "--first-byte-timeout-secs",
  "60",
];
const PACED = { instant: false, timing: { decodeMs: 50, decodeMsPerRunning: 0 } } as const;

/** Shares a worker with the one that is ended, and is none the wiser. */
let neighbour: FaultGateway;
beforeAll(async () => {
  neighbour = await startFaultGateway();
});
afterAll(async () => {
  await expectSameProcessServes(neighbour);
  await neighbour[Symbol.asyncDispose]();
});

/** Asks until nobody listens any more; each answer, or `undefined` for a connection that ended without one. */
async function knock(
  url: string,
  bytes: string,
): Promise<readonly (readonly [status: number, connection: string | null] | undefined)[]> {
  const answers: (readonly [number, string | null] | undefined)[] = [];
  for (;;) {
    try {
      const [answer] = await exchange(url, bytes);
      answers.push(answer && [answer.status, answer.headers.get("connection")]);
    } catch {
      // Refused: the listener has closed, as it should before the process ends.
      return answers;
    }
    await Bun.sleep(25);
  }
}

describe("SIGTERM while requests run", () => {
  test("row 97: readiness falls, short requests end, long streams are told, new ones are refused in words", async () => {
    await using gateway = await startFaultGateway(GRACE);
    await using engine = await startEngine({ model: "m97", ...PACED });
    await gateway.serve("m97", [engine.url]);
    await using _neighbour = await neighbour.serve("m97", [engine.url]);
    const long = { stream: true, max_tokens: 500, max_output_tokens: 500, ignore_eos: true, input: "x" };
    const routes = [CHAT, "/v1/messages", "/v1/responses", "/generate"] as const;
    const streams = await Promise.all(
      routes.map((route) =>
        post(
          gateway.url + route,
          chat("m97", { ...long, text: "x", sampling_params: { max_new_tokens: 500, ignore_eos: true } }),
        ),
      ),
    );
    expect(streams.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const short = post(gateway.url + CHAT, chat("m97", { max_tokens: 10, ignore_eos: true }));
    await Bun.sleep(100);
    const from = performance.now();
    const since = (): number => performance.now() - from;
    gateway.signal("SIGTERM");
    const undisturbed = post(neighbour.url + CHAT, chat("m97", { stream: true, max_tokens: 70, ignore_eos: true }));
    const texts = streams.map(async (stream) => {
      const text = await stream.text().catch((error: unknown) => `cut: ${String(error)}`);
      return { text, ms: since() };
    });
    const unready = (async (): Promise<number> => {
      while ((await fetch(`${gateway.url}/readiness`)).status !== 503) await Bun.sleep(5);
      return since();
    })();
    const refusals = knock(gateway.url, jsonPost(CHAT, chat("m97", { max_tokens: 1 })));

    const unreadyMs = await unready;
    expect(unreadyMs).toBeLessThan(100);
    expect((await short).status).toBe(200);
    const ends = await Promise.all(texts);
    const code = await gateway.exited;
    expect([code, since() < TOTAL_MS + 1000]).toEqual([0, true]);

    const [openai, anthropic, responses, sglang] = ends.map(({ text }) => text.trimEnd().split("\n\n").at(-1) ?? "");
    expect(openai).toMatch(/^data: \{"error":\{.*"type":"server_error".*"code":"server_shutting_down"/);
    expect(anthropic).toMatch(/^event: error\ndata: \{"type":"error","error":\{.*"overloaded_error"/);
    expect(responses).toMatch(/server_shutting_down|\[DONE\]/);
    expect(ends[2]?.text).toMatch(/event: (response\.failed|error)\ndata: .*server_shutting_down/);
    expect(sglang).toContain("server_shutting_down");
    for (const [index, { text, ms }] of ends.entries()) {
      if (index !== 2) expect(text).not.toContain("[DONE]");
      expect(text).not.toContain("message_stop");
      expect(ms).toBeWithin(TOTAL_MS - 1000, TOTAL_MS);
    }

    expect(await (await undisturbed).text()).toEndWith("data: [DONE]\n\n");

    // As long as somebody listens there are answers, and each ends its connection.
    const answers = await refusals;
    // The first may have been accepted before the signal was.
    const late = answers.slice(1);
    expect(late.length).toBeGreaterThan(3);
    for (const answer of late) expect(answer?.join(" ")).toMatch(/^(200|503) close$/);
    const [firstCut, lastCut] = [Math.min(...ends.map(({ ms }) => ms)), Math.max(...ends.map(({ ms }) => ms))];
    observe(
      97,
      `readiness 503 after ${unreadyMs.toFixed(0)} ms; ${late.length} late requests answered, 0 without a reply; 4 streams told ${firstCut.toFixed(0)} to ${lastCut.toFixed(0)} ms after the signal (end at ${TOTAL_MS}); exit ${code}`,
    );
  });

  test("row 97: a second SIGTERM ends the process at once", async () => {
    await using gateway = await startFaultGateway(["--shutdown-grace-period-secs", "60"]);
    await using engine = await startEngine({ model: "m97b", ...PACED });
    await gateway.serve("m97b", [engine.url]);
    const stream = await post(gateway.url + CHAT, chat("m97b", { stream: true, max_tokens: 500, ignore_eos: true }));
    gateway.signal("SIGTERM");
    while ((await fetch(`${gateway.url}/readiness`)).status !== 503) await Bun.sleep(5);
    const from = performance.now();
    gateway.signal("SIGTERM");
    const code = await gateway.exited;
    const ms = performance.now() - from;
    expect(code).not.toBe(0);
    expect(ms).toBeLessThan(500);
    observe(97, `a second SIGTERM: exit ${code} after ${ms.toFixed(0)} ms`);
    await stream.text().catch(() => "cut");
  });

  test("row 97: with nothing to wait for it does not wait", async () => {
    await using gateway = await startFaultGateway([
      "--shutdown-grace-period-secs",
      "60",
      "--shutdown-delay-secs",
      "0.2",
    ]);
    const from = performance.now();
    gateway.signal("SIGTERM");
    expect(await gateway.exited).toBe(0);
    expect(performance.now() - from).toBeLessThan(1200);
  });
});

test("row 102: SIGHUP with a file that has become nonsense: nothing changes until the file is mended, and streams and requests go on", async () => {
  const file = join(ELSEWHERE, "row-102.yaml");
  writeFileSync(file, "queue_size: 7\n");
  await using gateway = await startFaultGateway(["--config", file]);
  await using engine = await startEngine({ model: "m102", ...PACED });
  await gateway.serve("m102", [engine.url]);
  const stream = await post(gateway.url + CHAT, chat("m102", { stream: true, max_tokens: 20, ignore_eos: true }));
  writeFileSync(file, "queue_size: [many\n");
  const told = (): number =>
    gateway.lines().filter(({ by, reason }) => by === "SIGHUP" && String(reason).includes("row-102.yaml:2:1")).length;
  for (let count = 1; count <= 2; count += 1) {
    gateway.signal("SIGHUP");
    await eventually(() => told() === count, "it says where the file is wrong");
  }
  for (const name of ["SIGUSR1", "SIGUSR2"] as const) {
    gateway.signal(name);
    await eventually(() => gateway.lines().some(({ signal }) => signal === name), "it says that it does nothing");
  }
  expect(await stream.text()).toEndWith("data: [DONE]\n\n");
  expect((await post(gateway.url + CHAT, chat("m102", { max_tokens: 1 }))).status).toBe(200);
  expect(await gateway.metric("pointsman_config_version")).toBe(1);
  expect(await gateway.metric("pointsman_config_failures_total", { via: "signal" })).toBe(2);
  writeFileSync(file, "queue_size: 8\n");
  gateway.signal("SIGHUP");
  await eventually(
    () => gateway.lines().some(({ msg }) => msg === "the configuration has changed"),
    "it takes the mended file",
  );
  expect(await gateway.metric("pointsman_config_version")).toBe(2);
  observe(
    102,
    "twice, SIGUSR1 and SIGUSR2, and a file that does not parse: told each time with its place, the stream whole, then 200; mended, version 2",
  );
});

describe("connections that are kept, while the gateway drains", () => {
  test("row 98: an idle one is closed within a second, a busy one has its answer and is closed then", async () => {
    await using gateway = await startFaultGateway(GRACE);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    await using engine = await startEngine({
      model: "m98",
      respond: async () => {
        await released;
        return Response.json({ object: "chat.completion", choices: [] });
      },
    });
    await gateway.serve("m98", [engine.url]);
    using idle = await openWire(gateway.url, head("GET /health", []));
    await idle.answers(1);
    using busy = await openWire(gateway.url, jsonPost(CHAT, chat("m98")));
    while (engine.requests.length === 0) await Bun.sleep(5);
    const from = performance.now();
    gateway.signal("SIGTERM");
    await Promise.race([idle.closed, Bun.sleep(1500)]);
    const idleMs = performance.now() - from;
    release();
    const [answer] = await busy.answers(1);
    await Promise.race([busy.closed, Bun.sleep(1000)]);
    expect([answer?.status, answer?.headers.get("connection"), busy.isClosed]).toEqual([200, "close", true]);
    expect(idleMs).toBeLessThan(1000);
    observe(98, `idle closed after ${idleMs.toFixed(0)} ms; busy: 200 with \`Connection: close\``);
    expect(await gateway.exited).toBe(0);
  });

  // Bun 1.4.5 closes with its listener those that have had an answer, and not those that have not asked yet.
  test("row 98: one that has not asked yet is closed as well", async () => {
    await using gateway = await startFaultGateway(GRACE);
    await using engine = await startEngine({ model: "m98", ...PACED });
    await gateway.serve("m98", [engine.url]);
    // Keeps the process for the whole of its grace.
    const stream = await post(gateway.url + CHAT, chat("m98", { stream: true, max_tokens: 500, ignore_eos: true }));
    using fresh = await openWire(gateway.url);
    gateway.signal("SIGTERM");
    await Promise.race([fresh.closed, Bun.sleep(1500)]);
    const { isClosed } = fresh;
    await stream.body?.cancel();
    observe(98, `one that has not asked yet is ${isClosed ? "closed" : "open"} after 1.5 s`);
    expect(isClosed).toBe(true);
  });
});
