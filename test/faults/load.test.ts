import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type HeldEngine,
  jsonAnswer,
  type RawExchange,
  startEngine,
  startHeldEngine,
  startRawEngine,
} from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { ELSEWHERE } from "../support/process.ts";
import { type Api, APIS, CHAT, MESSAGES } from "./apis.ts";
import { ask, dig, type Reply, tally } from "./ask.ts";
import { eventually, expectSameProcessServes, observe, quantile, rssRise } from "./observe.ts";
import { chat, type FaultGateway, startFaultGateway } from "./setup.ts";
import { head, jsonPost, openWire } from "./wire.ts";

const MB = 1024 * 1024;
const QUIET = { authorization: "Bearer quiet-key" };
const NOISY = { authorization: "Bearer noisy-key" };
const ADMIN = { authorization: "Bearer admin-key" };
const NOISY_PER_MINUTE = 600;
const PLACES = 16;
const BYTES_HELD = 32 * MB;

let gateway: FaultGateway;
beforeAll(async () => {
  const config = join(ELSEWHERE, "load.yaml");
  writeFileSync(
    config,
    `api_keys:
  - name: quiet
    key: quiet-key
  - name: noisy
    key: noisy-key
    requests_per_minute: ${NOISY_PER_MINUTE}
    max_concurrent_requests: 8
`,
  );
  const flags = [
    ["--config", config],
    ["--admin-api-key", "admin-key"],
    ["--max-concurrent-requests-per-model", String(PLACES)],
    ["--queue-size", String(PLACES)],
    ["--queue-timeout-secs", "0.5"],
    ["--first-byte-timeout-secs", "10"],
    ["--max-request-bytes-in-flight", String(BYTES_HELD)],
  ];
  gateway = await startFaultGateway(flags.flat(), { call: QUIET, admin: ADMIN });
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
});

/** Its requests go by their `user`. */
const startHeld = (model: string): Promise<HeldEngine> =>
  startHeldEngine(model, ({ body }) => String(dig(JSON.parse(body), "user")));

describe("seven requests for two places and two in the queue", () => {
  const start = (): Promise<FaultGateway> =>
    startFaultGateway([
      ...["--max-concurrent-requests", "2", "--queue-size", "2"],
      ...["--queue-timeout-secs", "1", "--first-byte-timeout-secs", "10"],
    ]);

  for (const api of [CHAT, MESSAGES]) {
    test(`row 89: two are served, two wait in vain, three are refused at once: ${api.name}`, async () => {
      await using narrow = await start();
      const held = await startHeld("m89");
      await using _engine = held.engine;
      await using _served = await narrow.serve("m89", [held.engine.url]);
      const replies = Array.from({ length: 7 }, () => ask(narrow, api, "m89"));
      const depth = (): Promise<number> => narrow.metric("pointsman_queue_depth");
      await eventually(async () => (await depth()) === 2, "two wait");
      await eventually(async () => (await narrow.metric("pointsman_request_errors_total")) === 5, "five are refused");
      expect(await depth()).toBe(0);
      held.release();
      held.release();
      const codes = (await Promise.all(replies)).map((reply) => codeOf(api, reply));
      const full = api.status(503);
      expect(tally(codes)).toEqual({ "200 ": 2, [`${full} queue_timeout`]: 2, [`${full} queue_full`]: 3 });
      observe(89, `${api.path}: 2 × 200, 2 × ${full} \`queue_timeout\`, 3 × ${full} \`queue_full\`; depth 2, then 0`);
    });
  }

  test("row 89: who came first is served first", async () => {
    await using narrow = await start();
    const held = await startHeld("m89");
    await using _engine = held.engine;
    await using _served = await narrow.serve("m89", [held.engine.url]);
    const users = ["a", "b", "c", "d"];
    const replies: Promise<Reply>[] = [];
    for (const [index, user] of users.entries()) {
      replies.push(ask(narrow, CHAT, "m89", { user }));
      const come = async (): Promise<number> => held.order.length + (await narrow.metric("pointsman_queue_depth"));
      await eventually(async () => (await come()) === index + 1, `${user} is there`);
    }
    for (let count = 1; count <= users.length; count += 1) {
      held.release();
      await eventually(() => held.order.length >= Math.min(count + 2, users.length), "the next has come");
    }
    await Promise.all(replies);
    expect(held.order).toEqual(users);
    observe(89, "four in turn: served in the order in which they came");
  });

  function codeOf(api: Api, { status, text, headers }: Reply): string {
    if (status === 200) return "200 ";
    expect(Number(headers.get("retry-after"))).toBeWithin(1, 61);
    const error = dig(JSON.parse(text), "error");
    if (api === MESSAGES) expect(dig(error, "type")).toBe("overloaded_error");
    return `${status} ${String(dig(error, "code"))}`;
  }
});

/** Sends so many requests a second for a while, whether or not the earlier ones have been answered. */
async function steadily<T>(perSec: number, secs: number, send: (index: number) => Promise<T>): Promise<T[]> {
  const sent: Promise<T>[] = [];
  const from = performance.now();
  for (let due = 0; due < perSec * secs;) {
    for (const until = ((performance.now() - from) / 1000) * perSec; due < until && due < perSec * secs; due += 1)
      sent.push(send(due));
    await Bun.sleep(4);
  }
  return Promise.all(sent);
}

test("row 90: a client that asks 500 times a second is held to its limit, and one that asks 25 times does not notice", async () => {
  const secs = 2;
  await using engine = await startEngine({
    model: "m90",
    respond: async ({ body }) => {
      await Bun.sleep(20);
      return new Response(body, { headers: { "content-type": "application/json" } });
    },
  });
  await using _served = await gateway.serve("m90", [engine.url]);
  const send = async (headers: Record<string, string>): Promise<{ status: number; ms: number; text: string }> => {
    const from = performance.now();
    const response = await post(gateway.url + CHAT.path, chat("m90"), headers);
    const text = await response.text();
    if (response.status === 429) expect(Number(response.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    return { status: response.status, ms: performance.now() - from, text };
  };
  const quietly = async (): Promise<readonly { status: number; ms: number }[]> => steadily(25, secs, () => send(QUIET));
  await quietly();
  const alone = await quietly();
  const [beside, noisy] = await Promise.all([quietly(), steadily(500, secs, () => send(NOISY))]);
  const p95 = (replies: readonly { ms: number }[]): number =>
    quantile(
      replies.map(({ ms }) => ms),
      0.95,
    );
  expect(beside.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(0.99 * beside.length);
  expect(p95(beside)).toBeLessThanOrEqual(2 * p95(alone));
  const statuses = tally(noisy.map(({ status }) => status));
  expect(Object.keys(statuses).toSorted()).toEqual(["200", "429"]);
  expect(statuses[200]).toBeLessThanOrEqual(NOISY_PER_MINUTE + secs * (NOISY_PER_MINUTE / 60));
  const refused = noisy.find(({ status }) => status === 429);
  expect(dig(JSON.parse(refused?.text ?? ""), "error")).toMatchObject({
    type: "rate_limit_error",
    code: "rate_limit_exceeded",
  });
  observe(
    90,
    `noisy: ${statuses[200]} × 200, ${statuses[429]} × 429; quiet: ${beside.length} of ${beside.length} answered 200, p95 ${p95(alone).toFixed(1)} ms alone and ${p95(beside).toFixed(1)} ms beside it`,
  );
});

test("row 92: workers that refuse everything are asked a fifth more than there are requests, and ten times a second", async () => {
  await using fresh = await startFaultGateway();
  const secs = 10;
  const perSec = 100;
  const kinds: Readonly<Record<string, (exchange: RawExchange) => void>> = {
    "m92-503": ({ write }) => write(jsonAnswer('{"error":{"message":"no"}}', "503 Service Unavailable")),
    "m92-reset": ({ reset }) => reset(),
  };
  const counts = await Promise.all(
    Object.entries(kinds).map(async ([model, answer]) => {
      await using one = await startRawEngine(answer);
      await using two = await startRawEngine(answer);
      await using _served = await fresh.serve(model, [one.url, two.url]);
      const statuses = await steadily(perSec, secs, async (seed) => {
        const response = await post(fresh.url + CHAT.path, chat(model, { seed }));
        await response.text();
        return response.status;
      });
      return { requests: statuses.length, attempts: one.generations + two.generations, statuses: tally(statuses) };
    }),
  );
  for (const { statuses } of counts) expect(Object.keys(statuses)).toEqual([expect.stringMatching(/^50[23]$/)]);
  const requests = counts.reduce((sum, count) => sum + count.requests, 0);
  const attempts = counts.reduce((sum, count) => sum + count.attempts, 0);
  expect(requests).toBe(2 * perSec * secs);
  // The budget is kept over ten seconds: as many as those allow may come at once.
  expect(attempts).toBeLessThanOrEqual(1.2 * requests + 10 * (secs + 10));
  observe(
    92,
    `${requests} requests in ${secs} s, half answered 503, half reset: ${attempts} attempts at the workers (${(attempts / requests).toFixed(2)} a request)`,
  );
}, 20_000);

test("row 93: with more requests than there are places and time: 503 at once, and health answers", async () => {
  const LANES = 80;
  await using engine = await startEngine({
    model: "m93",
    respond: async ({ body }) => {
      await Bun.sleep(100);
      return new Response(body, { headers: { "content-type": "application/json" } });
    },
  });
  await using _served = await gateway.serve("m93", [engine.url]);
  const bytes = jsonPost(CHAT.path, chat("m93"), [`authorization: ${QUIET.authorization}`]);
  const until = performance.now() + 2000;
  const statuses: string[] = [];
  const refusedMs: number[] = [];
  const lane = async (): Promise<void> => {
    using wire = await openWire(gateway.url);
    while (performance.now() < until) {
      const from = performance.now();
      await wire.write(bytes);
      const status = (await wire.until("\r\n\r\n")).slice(9, 12);
      statuses.push(status);
      // Those that were in the queue for its whole time are refused as well.
      if (status === "503" && performance.now() - from < 400) refusedMs.push(performance.now() - from);
      await wire.answers(1);
      wire.forget();
      // Two thousand a second in all, where they are refused at once.
      await Bun.sleep(40);
    }
  };
  const healthMs: number[] = [];
  const watch = async (): Promise<void> => {
    using wire = await openWire(gateway.url);
    while (performance.now() < until) {
      const from = performance.now();
      await wire.write(head("GET /health", []));
      expect((await wire.answers(1))[0]?.status).toBe(200);
      healthMs.push(performance.now() - from);
      wire.forget();
      await Bun.sleep(20);
    }
  };
  await Promise.all([watch(), ...Array.from({ length: LANES }, lane)]);
  const counts = tally(statuses);
  expect(Object.keys(counts).toSorted()).toEqual(["200", "503"]);
  expect(counts["503"]).toBeGreaterThan(statuses.length / 2);
  // What the machine does besides is in the last tenth.
  expect(quantile(healthMs, 0.9)).toBeLessThan(100);
  observe(
    93,
    `${LANES} clients for ${PLACES} places: ${(statuses.length / 2).toFixed(0)} answers a second, ${counts["200"]} × 200, ${counts["503"]} × 503 (p50 ${quantile(refusedMs, 0.5).toFixed(0)} ms); health p90 ${quantile(healthMs, 0.9).toFixed(0)} ms`,
  );
});

test("row 93: while the process comes 200 ms late to its work, inference is refused in each shape, and health is not", async () => {
  await using late = await startFaultGateway(["--max-event-loop-delay-ms", "200"]);
  await using engine = await startEngine({ model: "m93-late" });
  await using _served = await late.serve("m93-late", [engine.url]);
  const delayMs = async (): Promise<number> => 1000 * (await late.metric("pointsman_event_loop_delay_seconds"));
  expect(await delayMs()).toBeLessThan(200);
  // What it has no processor for is the same to it as what is too much: it runs for 20 ms of each 320.
  const starve = async (times: number): Promise<void> => {
    for (let count = 0; count < times; count += 1) {
      late.signal("SIGSTOP");
      await Bun.sleep(300);
      late.signal("SIGCONT");
      await Bun.sleep(20);
    }
  };
  await starve(5);
  const replies = await Promise.all(APIS.map((api) => ask(late, api, "m93-late")));
  const [health, delay] = await Promise.all([fetch(`${late.url}/health`), delayMs()]);
  for (const [index, { status, text, headers }] of replies.entries()) {
    const api = APIS[index] ?? CHAT;
    const code: unknown = dig(JSON.parse(text), "error", "code");
    expect([api.name, status, code, headers.get("retry-after")]).toEqual([
      api.name,
      api.status(503),
      "overloaded",
      "1",
    ]);
  }
  expect([health.status, engine.stats.finished]).toEqual([200, 0]);
  expect(delay).toBeGreaterThan(200);
  await eventually(async () => (await ask(late, CHAT, "m93-late")).status === 200, "it serves again");
  await starve(1);
  expect((await ask(late, CHAT, "m93-late")).status).toBe(200);
  observe(
    93,
    `${delay.toFixed(0)} ms behind five times in a row: 503 \`overloaded\` in each API, health 200, served again within a second; after one such pause 200`,
  );
});

test("row 94: bodies beyond what may be held are refused, memory keeps within it, and then all is free", async () => {
  const held = await startHeld("m94");
  await using _engine = held.engine;
  await using _served = await gateway.serve("m94", [held.engine.url]);
  // What the pieces of a body take besides their bytes is counted as well.
  const bodyOf = (api: Api): string => JSON.stringify(api.body("m94", { user: "x".repeat(8 * MB - 16_384) }));
  const send = async (api: Api): Promise<Reply> => {
    const response = await post(gateway.url + api.path, bodyOf(api), QUIET);
    return { status: response.status, headers: response.headers, text: await response.text(), ms: 0 };
  };
  const fits = BYTES_HELD / (8 * MB);
  let first: Promise<Reply>[] = [];
  let refused: Reply[] = [];
  const rise = await rssRise(gateway, async () => {
    first = Array.from({ length: fits }, () => send(CHAT));
    await eventually(() => held.order.length === fits, "as many as fit are at the worker");
    refused = await Promise.all(Array.from({ length: 18 }, (_, index) => send(APIS[index % APIS.length] ?? CHAT)));
  });
  for (const [index, { status, text, headers }] of refused.entries()) {
    const api = APIS[index % APIS.length] ?? CHAT;
    expect([api.name, status, dig(JSON.parse(text), "error", "code")]).toEqual([
      api.name,
      api.status(503),
      "memory_full",
    ]);
    expect(Number(headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  }
  // Each body is there twice while it is sent on.
  expect(rise).toBeLessThanOrEqual((3 * BYTES_HELD) / MB);
  for (let count = 0; count < fits; count += 1) held.release();
  expect((await Promise.all(first)).map(({ status }) => status)).toEqual(Array.from({ length: fits }, () => 200));
  const after = send(CHAT);
  await eventually(() => held.order.length === fits + 1, "one more is at the worker");
  held.release();
  expect((await after).status).toBe(200);
  observe(
    94,
    `bound 32 MiB, 22 bodies of 8 MiB: ${fits} × 200, 18 × 503 \`memory_full\` (529 on /v1/messages), resident memory ${rise.toFixed(0)} MB more; then 200`,
  );
});

describe("a process that is larger than it may be", () => {
  const startNarrow = (bytes: number): Promise<FaultGateway> =>
    startFaultGateway(["--max-resident-bytes", String(bytes), "--first-byte-timeout-secs", "10"]);

  test("row 94: new requests are refused in each shape and answers end their connection, but one alone is served", async () => {
    await using narrow = await startNarrow(MB);
    const held = await startHeld("m94-narrow");
    await using _engine = held.engine;
    await using _served = await narrow.serve("m94-narrow", [held.engine.url]);
    const alone = ask(narrow, CHAT, "m94-narrow");
    await eventually(() => held.order.length === 1, "the first is at the worker");
    for (const api of APIS) {
      const { status, text, headers } = await ask(narrow, api, "m94-narrow");
      expect([api.name, status, dig(JSON.parse(text), "error", "code"), headers.get("retry-after")]).toEqual([
        api.name,
        api.status(503),
        "memory_full",
        "1",
      ]);
    }
    using wire = await openWire(narrow.url, jsonPost(CHAT.path, chat("m94-narrow")));
    const [refused] = await wire.answers(1);
    await wire.closed;
    expect([refused?.status, refused?.headers.get("connection")]).toEqual([503, "close"]);
    expect((await fetch(`${narrow.url}/health`)).status).toBe(200);
    held.release();
    expect((await alone).status).toBe(200);
    const next = ask(narrow, CHAT, "m94-narrow");
    await eventually(() => held.order.length === 2, "the next is at the worker");
    held.release();
    expect((await next).status).toBe(200);
  });

  test("row 94: what has become free is given back, and then all are served again", async () => {
    const probe = await startNarrow(0);
    const bound = probe.rssMb() + 100;
    await probe[Symbol.asyncDispose]();
    await using narrow = await startNarrow(bound * MB);
    const held = await startHeld("m94-full");
    await using _engine = held.engine;
    await using _served = await narrow.serve("m94-full", [held.engine.url]);
    const large = JSON.stringify(CHAT.body("m94-full", { user: "x".repeat(8 * MB) }));
    const isRefused = async (): Promise<boolean> => {
      const reply = await Promise.race([ask(narrow, CHAT, "m94-full"), Bun.sleep(100).then(() => undefined)]);
      return reply?.text.includes("memory_full") === true;
    };
    const replies = Array.from({ length: 20 }, () => post(narrow.url + CHAT.path, large));
    await eventually(isRefused, "it refuses");
    const peak = narrow.rssMb();
    // Those that got in before it did are answered.
    const release = setInterval(() => held.release(), 5);
    const statuses = tally((await Promise.all(replies)).map(({ status }) => status));
    await eventually(() => narrow.rssMb() < bound, "it is smaller again");
    await eventually(async () => !(await isRefused()), "it serves again");
    clearInterval(release);
    expect(peak).toBeGreaterThan(bound);
    observe(
      94,
      `bound ${bound.toFixed(0)} MB: \`memory_full\` at ${peak.toFixed(0)} MB, ${JSON.stringify(statuses)} of those that came before; ${narrow.rssMb().toFixed(0)} MB after, and served again`,
    );
  });
});
