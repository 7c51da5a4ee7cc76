import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { POLICY_NAMES } from "../../src/policy/policy-names.ts";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { jsonAnswer, type RawEngine, type RawExchange, startEngine, startRawEngine } from "../support/engine.ts";
import { CHAT, expectError } from "./apis.ts";
import { ask, expectOneLineEach, lineOf, type Reply, repeat, tally, workerView } from "./ask.ts";
import { eventually, expectSameProcessServes, observe } from "./observe.ts";
import { type FaultGateway, type Served, startFaultGateway } from "./setup.ts";

/** With these many clients and a threshold of 5: what is on the way when the fifth fails, and what comes before it is left out. */
const CLIENTS = 8;
const REQUESTS = 120;
const MOST_FAILED = 12;
/** So many that no hash of session or prompt sends them all to the worker that works. */
const CONVERSATIONS = 40;
const EJECTION_MS = 400;

const FLAGS = [...["--outlier-ejection-secs", String(EJECTION_MS / 1000)], ...["--slow-start-secs", "1"]];

let gateway: FaultGateway;
beforeAll(async () => {
  gateway = await startFaultGateway(FLAGS);
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await expectOneLineEach(gateway);
  await gateway[Symbol.asyncDispose]();
});

const VLLM_500 = JSON.stringify({ error: { message: "CUDA error: out of memory", type: "InternalServerError" } });
const failing = ({ write }: RawExchange): void => write(jsonAnswer(VLLM_500, "500 Internal Server Error"));
const statuses = (replies: readonly Reply[]): Record<string, number> => tally(replies.map(({ status }) => status));

/** Two workers of one model, of which one answers 500 at once and the other 20 ms later what was asked. */
async function startPair(model: string): Promise<{ bad: RawEngine; good: SimulatedEngine }> {
  const bad = await startRawEngine(failing);
  const good = await startEngine({
    model,
    respond: async () => {
      await Bun.sleep(20);
      return new Response(CHAT.whole("well"), { headers: { "content-type": "application/json" } });
    },
  });
  return { bad, good };
}

async function askMany(to: FaultGateway, model: string): Promise<Reply[]> {
  const key = (seed: number): Record<string, unknown> => {
    const who = `client-${seed % CONVERSATIONS}`;
    return { seed, user: who, messages: [{ role: "user", content: `Hello, I am ${who}` }] };
  };
  return repeat(REQUESTS, CLIENTS, (seed) => ask(to, CHAT, model, key(seed)));
}

describe("a worker that answers 500 to everything, and says that it is well", () => {
  for (const policy of POLICY_NAMES.filter((name) => name !== "passthrough")) {
    test(`row 135: ${policy}: it is ejected after a handful, and all others are served`, async () => {
      const model = `m230-${policy}`;
      const { bad, good } = await startPair(model);
      await using served = await gateway.serve(model, [bad.url, good.url], { policy });
      const replies = await askMany(gateway, model);
      const failed = statuses(replies)["500"] ?? 0;
      expect(statuses(replies)).toEqual({ ...(failed > 0 ? { 500: failed } : {}), 200: REQUESTS - failed });
      expect(failed).toBeLessThanOrEqual(MOST_FAILED);
      observe(135, `${policy}: ${failed} of ${REQUESTS} failed`);
      await expectEjected(gateway, served, bad);
      await bad[Symbol.asyncDispose]();
      await good.stop();
    });
  }

  test("row 136: over two threads: the failures of both count, and both leave it out", async () => {
    await using threads = await startFaultGateway([...FLAGS, "--threads", "2"]);
    for (const policy of ["cache_aware", "round_robin"]) {
      const model = `m231-${policy}`;
      const { bad, good } = await startPair(model);
      await using served = await threads.serve(model, [bad.url, good.url], { policy });
      const replies = await askMany(threads, model);
      const failed = statuses(replies)["500"] ?? 0;
      expect(replies.filter(({ status }) => status === 200)).toHaveLength(REQUESTS - failed);
      // What came of a failure is known on both threads a few messages later.
      expect(failed).toBeLessThanOrEqual(MOST_FAILED + CLIENTS);
      observe(136, `2 threads, ${policy}: ${failed} of ${REQUESTS} failed`);
      await expectEjected(threads, served, bad);
      await bad[Symbol.asyncDispose]();
      await good.stop();
    }
    expect(await threads.metric("pointsman_requests_in_flight")).toBe(0);
  });

  test("row 139: its requests fail no more: requests prove it, one at a time, and its share rises from a tenth", async () => {
    let isBroken = true;
    const { good } = await startPair("m234");
    await using bad = await startRawEngine((exchange) =>
      isBroken ? failing(exchange) : exchange.write(jsonAnswer(CHAT.whole("well again"))),
    );
    await using served = await gateway.serve("m234", [bad.url, good.url]);
    await askMany(gateway, "m234");
    await expectEjected(gateway, served, bad);
    isBroken = false;
    const breaker = async (): Promise<unknown> => (await workerView(gateway, served.ids[0]))["breaker"];
    await eventually(async () => (await breaker()) === "half_open", "it may be proved");
    const before = bad.generations;
    const share = async (): Promise<number> => {
      const from = bad.generations;
      const replies = await repeat(60, 4, (seed) => ask(gateway, CHAT, "m234", { seed }));
      expect(statuses(replies)).toEqual({ 200: 60 });
      return (bad.generations - from) / 60;
    };
    const first = await share();
    expect(bad.generations).toBeGreaterThan(before);
    expect(await breaker()).toBe("closed");
    await Bun.sleep(1000);
    const last = await share();
    expect(first).toBeLessThan(0.4);
    expect(last).toBeWithin(0.45, 0.55);
    observe(139, `share ${(first * 100).toFixed(0)} % at first, ${(last * 100).toFixed(0)} % a second later`);
    await good.stop();
  });
});

/** It is left out, and the log, the metrics and the view of it say so and why. */
async function expectEjected(at: FaultGateway, served: Served, bad: RawEngine): Promise<void> {
  const isTold = (line: Record<string, unknown>): boolean =>
    line["msg"] === "breaker" && line["worker"] === served.ids[0] && line["reason"] === "failures";
  await eventually(() => at.lines().some(isTold), "the operator is told that it is ejected");
  expect(at.lines().find(isTold)).toMatchObject({ level: 40, url: bad.url, to: "open", for_secs: EJECTION_MS / 1000 });
  const ejections = { worker: bad.url, reason: "failures" };
  expect(await at.metric("pointsman_worker_ejections_total", ejections)).toBe(1);
  expect(await workerView(at, served.ids[1])).toMatchObject({ breaker: "closed", is_healthy: true });
}

describe("requests that fail everywhere", () => {
  const isPoison = (body: string): boolean => body.includes("poison");
  const answer = (exchange: RawExchange): void =>
    isPoison(exchange.body) ? failing(exchange) : exchange.write(jsonAnswer(CHAT.whole("well")));
  const ejections = async (urls: readonly string[]): Promise<number> => {
    let sum = 0;
    for (const worker of urls) sum += await gateway.metric("pointsman_worker_ejections_total", { worker });
    return sum;
  };

  for (const policy of ["round_robin", "cache_aware", "consistent_hashing"]) {
    test(`row 138: ${policy}: those of one client eject nobody, varied or not, among others' or alone`, async () => {
      const engines = await Promise.all([0, 1, 2].map(() => startRawEngine(answer)));
      const urls = engines.map(({ url }) => url);
      const model = `m233-${policy}`;
      await using served = await gateway.serve(model, urls, { policy });
      const poison = (seed: number): Record<string, unknown> => ({ seed, user: "poisoner", stop: ["poison"] });
      const same = await repeat(40, 4, () => ask(gateway, CHAT, model, poison(1)));
      const varied = await repeat(80, 4, (seed) => ask(gateway, CHAT, model, poison(seed)));
      const mixed = await repeat(200, 8, async (seed) =>
        seed % 2 === 0
          ? ask(gateway, CHAT, model, poison(1000 + seed))
          : ask(gateway, CHAT, model, { seed, user: `u${seed}`, stop: ["fine"] }),
      );
      expect([statuses(same), statuses(varied), statuses(mixed)]).toEqual([
        { 500: 40 },
        { 500: 80 },
        { 500: 100, 200: 100 },
      ]);
      expect(await ejections(urls)).toBe(0);
      for (const id of served.ids) expect((await workerView(gateway, id))["breaker"]).toBe("closed");
      observe(138, `${policy}: 220 × 500 of one client, nobody ejected; 100 of 100 of the others' answered`);
      for (const engine of engines) await engine[Symbol.asyncDispose]();
    });
  }

  test("row 138: a handful of one client that stops then, among others' requests, ejects nobody", async () => {
    const engines = await Promise.all([0, 1].map(() => startRawEngine(answer)));
    const urls = engines.map(({ url }) => url);
    // With affinity all of them go to one worker.
    await using served = await gateway.serve("m233-burst", urls, { policy: "consistent_hashing" });
    for (let burst = 0; burst < 3; burst += 1) {
      const poison = { user: "poisoner", stop: ["poison"] };
      const bad = await repeat(12, 12, (seed) =>
        ask(gateway, CHAT, "m233-burst", { ...poison, seed: burst * 100 + seed }),
      );
      expect(statuses(bad)).toEqual({ 500: 12 });
      const others = await repeat(60, 4, (seed) => ask(gateway, CHAT, "m233-burst", { user: `u${seed}` }));
      expect(statuses(others)).toEqual({ 200: 60 });
      await Bun.sleep(150);
      expect(statuses(await repeat(4, 1, (seed) => ask(gateway, CHAT, "m233-burst", { user: `v${seed}` })))).toEqual({
        200: 4,
      });
    }
    expect(await ejections(urls)).toBe(0);
    for (const id of served.ids) expect((await workerView(gateway, id))["breaker"]).toBe("closed");
    observe(138, "three bursts of 12 at one worker: nobody ejected, 192 of 192 of the others' answered");
    for (const engine of engines) await engine[Symbol.asyncDispose]();
  });

  test("row 137: three workers at once that fail at everything: all are asked on, and their errors pass as they are", async () => {
    const engines = await Promise.all([0, 1, 2].map(() => startRawEngine(failing)));
    const urls = engines.map(({ url }) => url);
    await using served = await gateway.serve("m232", urls);
    const replies = await repeat(120, 8, (seed) => ask(gateway, CHAT, "m232", { seed }));
    expect(statuses(replies)).toEqual({ 500: 120 });
    expect(replies.every(({ text }) => text.includes("upstream_error"))).toBe(true);
    expect(await ejections(urls)).toBe(0);
    for (const id of served.ids) expect((await workerView(gateway, id))["breaker"]).toBe("closed");
    observe(137, "120 × 500 `upstream_error`, nobody ejected");
    for (const engine of engines) await engine[Symbol.asyncDispose]();
  });

  test("row 137: a lone one that fails at everything is asked on", async () => {
    await using engine = await startRawEngine(failing);
    await using served = await gateway.serve("m232-lone", [engine.url]);
    expect(statuses(await repeat(40, 4, (seed) => ask(gateway, CHAT, "m232-lone", { seed })))).toEqual({ 500: 40 });
    expect(await workerView(gateway, served.ids[0])).toMatchObject({ breaker: "closed" });
  });
});

describe("a worker that refuses the gateway's credential", () => {
  const refusal = (status: string): string => jsonAnswer('{"error":"Unauthorized"}', status);

  for (const status of ["401 Unauthorized", "403 Forbidden"]) {
    test(`row 140: ${status} of a lone worker: the next request is asked all the same`, async () => {
      let turn = 0;
      await using engine = await startRawEngine(({ write }) => {
        turn += 1;
        write(turn === 1 ? refusal(status) : jsonAnswer(CHAT.whole("well")));
      });
      await using _served = await gateway.serve(`lone ${status}`, [engine.url]);
      const replies = await repeat(5, 1, (seed) => ask(gateway, CHAT, `lone ${status}`, { seed }));
      expect(replies.map((reply) => reply.status)).toEqual([502, 200, 200, 200, 200]);
      observe(140, `${status} once, from a lone worker: 502, then 4 × 200`);
    });

    test(`row 140: ${status} of one of two: it rests, and one line says for how long and why`, async () => {
      await using refusing = await startRawEngine(({ write }) => write(refusal(status)));
      await using good = await startEngine({ model: `pair ${status}` });
      await using served = await gateway.serve(`pair ${status}`, [refusing.url, good.url]);
      const replies = await repeat(20, 1, (seed) => ask(gateway, CHAT, `pair ${status}`, { seed }));
      expect([statuses(replies), refusing.generations]).toEqual([{ 200: 20 }, 1]);
      const isTold = (line: Record<string, unknown>): boolean =>
        line["worker"] === served.ids[0] && line["reason"] === "credential";
      await eventually(() => gateway.lines().some(isTold), "the operator is told");
      expect(gateway.lines().filter(isTold)).toEqual([
        expect.objectContaining({ level: 50, url: refusing.url, for_secs: 30 }),
      ]);
      expect(await gateway.metric("pointsman_worker_out", { worker: refusing.url, reason: "credential" })).toBe(1);
      observe(140, `${status} of one of two: 20 × 200, 1 request at it, one line of level 50`);
    });
  }

  test("row 140: the page of a firewall (403) is no word of the engine's: it takes no worker out", async () => {
    const page = "<html><h1>Request blocked</h1></html>";
    const blocked = `HTTP/1.1 403 Forbidden\r\ncontent-type: text/html\r\ncontent-length: ${page.length}\r\n\r\n${page}`;
    await using engine = await startRawEngine(({ write, body }) =>
      write(body.includes("attack") ? blocked : jsonAnswer(CHAT.whole("well"))),
    );
    await using served = await gateway.serve("waf", [engine.url]);
    const reply = await ask(gateway, CHAT, "waf", { stop: ["attack"] });
    expectError(CHAT, reply, 502, { code: "upstream_unavailable" });
    expect((await ask(gateway, CHAT, "waf")).status).toBe(200);
    expect(await workerView(gateway, served.ids[0])).toMatchObject({ breaker: "closed", is_healthy: true });
    observe(140, "403 with a page: 502 `upstream_unavailable`, then 200");
  });
});

describe("what proxies before workers say", () => {
  const say = (status: number): string => jsonAnswer("{}", `${status} Whatever`);

  test("row 141: 529 is a full worker: the request goes elsewhere; from all, the client is told when to come again", async () => {
    await using full = await startRawEngine(({ write }) => write(say(529)));
    await using good = await startEngine({ model: "m529" });
    await using _served = await gateway.serve("m529", [full.url, good.url]);
    const replies = await repeat(8, 1, (seed) => ask(gateway, CHAT, "m529", { seed }));
    expect(statuses(replies)).toEqual({ 200: 8 });
    await using _lone = await gateway.serve("m529-lone", [full.url.replace("127.0.0.1", "localhost")]);
    const reply = await ask(gateway, CHAT, "m529-lone");
    expectError(CHAT, reply, 503, { code: "upstream_busy" });
    expect(reply.headers.get("retry-after")).toBe("1");
    observe(141, "529: another worker answers; alone 503 `upstream_busy` with Retry-After");
  });

  for (const status of [520, 521, 522, 523, 524, 525, 526, 530]) {
    test(`row 141: ${status} is a worker that a proxy cannot reach: another has the request`, async () => {
      await using gone = await startRawEngine(({ write }) => write(say(status)));
      await using good = await startEngine({ model: `m${status}` });
      await using _served = await gateway.serve(`m${status}`, [gone.url, good.url]);
      const replies = await repeat(4, 1, (seed) => ask(gateway, CHAT, `m${status}`, { seed }));
      expect([statuses(replies), gone.generations]).toEqual([{ 200: 4 }, 2]);
      const code = status === 520 || status === 524 ? "upstream_unavailable" : "upstream_connect_failed";
      const outcome = { worker: gone.url, outcome: code };
      expect(await gateway.metric("pointsman_worker_attempts_total", outcome)).toBe(2);
      observe(141, `${status}: \`${code}\`, 4 of 4 answered by the other`);
    });
  }

  test("row 142: a rest is told as a date or in milliseconds, and heeded", async () => {
    const heads = [
      `retry-after: ${new Date(Date.now() + 20_000).toUTCString()}\r\n`,
      "retry-after-ms: 20000\r\n",
      "retry-after: 20\r\n",
    ];
    for (const [index, head] of heads.entries()) {
      const model = `m237-${index}`;
      await using full = await startRawEngine(({ write }) => write(jsonAnswer("{}", "503 Full", head)));
      await using good = await startEngine({ model });
      await using served = await gateway.serve(model, [full.url, good.url]);
      expect(statuses(await repeat(8, 1, (seed) => ask(gateway, CHAT, model, { seed })))).toEqual({ 200: 8 });
      expect([full.generations, (await workerView(gateway, served.ids[0]))["is_resting"]]).toEqual([1, true]);
      observe(
        142,
        `${head.split(":")[0]} as ${["a date", "milliseconds", "seconds"][index]}: asked once in 8 requests`,
      );
    }
  });
});

test("row 143: why a request failed at a worker stands in the log, and which workers failed it in its line", async () => {
  await using bad = await startRawEngine(({ write }) => write(jsonAnswer(VLLM_500, "503 Full")));
  await using broken = await startRawEngine(failing);
  await using _served = await gateway.serve("m238", [bad.url, broken.url], { policy: "round_robin" });
  const replies = await repeat(2, 1, (seed) => ask(gateway, CHAT, "m238", { seed }));
  const lines = await Promise.all(replies.map((reply) => lineOf(gateway, reply)));
  const both = lines.find((line) => line["attempts"] === 2);
  expect(both?.["failed"]).toEqual([
    { url: bad.url, code: "upstream_busy" },
    { url: broken.url, code: "upstream_error" },
  ]);
  expect(both?.["worker_url"]).toBe(broken.url);
  const isTold = (line: Record<string, unknown>): boolean => line["msg"] === "a request failed at the worker";
  await eventually(() => gateway.lines().some((line) => isTold(line) && line["url"] === broken.url), "it is told");
  const told = gateway.lines().filter((line) => isTold(line) && line["url"] === broken.url);
  expect(told).toEqual([
    expect.objectContaining({ level: 40, code: "upstream_error", said: "HTTP 500: CUDA error: out of memory" }),
  ]);
  for (const { text } of replies) expect(text).not.toContain("CUDA");
  observe(143, "one line a second for each worker, in its own words; the access line has URL and code of each attempt");
});

test("row 144: a failed request leaves the worker as loaded for policies as one that is answered, and not in what is told", async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  await using bad = await startRawEngine(failing);
  await using good = await startRawEngine(async ({ write }) => {
    await released;
    write(jsonAnswer(CHAT.whole("well")));
  });
  await using served = await gateway.serve("m239", [bad.url, good.url], { policy: "shortest_queue" });
  // Too few to be ejected, so that nothing else keeps requests away.
  const requests: Promise<Reply>[] = [];
  for (let count = 1; count <= 8; count += 1) {
    requests.push(ask(gateway, CHAT, "m239", { seed: count }));
    await eventually(() => bad.generations + good.generations === count, "the request is at a worker");
  }
  expect([bad.generations, good.generations]).toEqual([4, 4]);
  expect(await workerView(gateway, served.ids[0])).toMatchObject({ load: 0, pending_prompt_tokens: 0 });
  expect(await gateway.metric("pointsman_requests_in_flight", { worker: bad.url })).toBe(0);
  release();
  expect(statuses(await Promise.all(requests))).toEqual({ 200: 4, 500: 4 });
  observe(144, "8 requests, least loaded first: 4 at the worker that fails at once; its load is told as 0");
});
