import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { openRaw, rawPost } from "../support/client.ts";
import { chunk, jsonAnswer, type RawExchange, startRawEngine, STREAM_HEAD } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { type Api, APIS, CHAT, MESSAGES, piecesIn, RESPONSES } from "./apis.ts";
import { ask, expectOneLineEach, lineOf, readEvents, type Reply } from "./ask.ts";
import { startTinyEngine } from "./grpc-workers.ts";
import { eventually, expectSameProcessServes, observe } from "./observe.ts";
import { type FaultGateway, startFaultGateway } from "./setup.ts";

const KEEP_ALIVE_MS = 1000;
/** The gateway looks once a second. */
const EARLY_MS = 2 * KEEP_ALIVE_MS + 250;
const FLAGS = [
  ["--stream-keep-alive-secs", String(KEEP_ALIVE_MS / 1000)],
  ["--first-byte-timeout-secs", "3.5"],
  ["--idle-timeout-secs", "3.5"],
  ["--parse-output", "parsed-*"],
].flat();

let gateway: FaultGateway;
/** One place for all, and one for each model. */
let narrow: FaultGateway;
let narrowByModel: FaultGateway;
let threaded: FaultGateway;
beforeAll(async () => {
  [gateway, narrow, narrowByModel, threaded] = await Promise.all([
    startFaultGateway(FLAGS),
    startFaultGateway([...FLAGS, "--max-concurrent-requests", "1", "--queue-timeout-secs", "3"]),
    startFaultGateway([...FLAGS, "--max-concurrent-requests-per-model", "1", "--queue-timeout-secs", "3"]),
    startFaultGateway([...FLAGS, "--threads", "2"]),
  ]);
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  for (const one of [gateway, narrow, narrowByModel, threaded]) {
    await expectOneLineEach(one);
    await one[Symbol.asyncDispose]();
  }
});

const whole = (api: Api): string => api.opening + api.delta("one", 0) + api.ending(1);
const keepAlive = (api: Api): RegExp =>
  api === MESSAGES ? /^event: ping\ndata: \{"type":"ping"\}\n\n/ : /^: keep-alive\n/;

/** Answers with a whole stream after so long; the head at once, or with it. */
function late(api: Api, afterMs: number, isHeadFirst = true): (exchange: RawExchange) => void {
  return ({ write }) => {
    if (isHeadFirst) write(STREAM_HEAD);
    setTimeout(() => write(`${isHeadFirst ? "" : STREAM_HEAD}${chunk(whole(api))}0\r\n\r\n`), afterMs);
  };
}

interface Timed extends Reply {
  /** From the request to the head, ms. */
  readonly headMs: number;
}

async function timed(to: FaultGateway, api: Api, model: string, extra: object = {}): Promise<Timed> {
  const started = performance.now();
  const response = await post(to.url + api.path, api.body(model, { stream: true, ...extra }));
  const headMs = performance.now() - started;
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, headMs, ms: performance.now() - started };
}

/** The head came early, with a sign of life, and the stream behind it is whole. */
async function expectEarly(to: FaultGateway, api: Api, reply: Timed, attempts = 1): Promise<void> {
  expect([api.name, reply.status]).toEqual([api.name, 200]);
  expect(reply.headMs).toBeWithin(KEEP_ALIVE_MS - 250, EARLY_MS);
  expect(reply.headMs).toBeLessThan(reply.ms - 250);
  expect(reply.headers.get("content-type")).toBe("text/event-stream");
  expect(reply.headers.get("x-accel-buffering")).toBe("no");
  expect(reply.text).toMatch(keepAlive(api));
  const events = readEvents(reply.text).filter(({ name, data }) => name !== "ping" && data !== "[DONE]");
  expect(events).toEqual(readEvents(whole(api)).filter(({ data }) => data !== "[DONE]"));
  if (api !== MESSAGES) expect(reply.text).toEndWith("data: [DONE]\n\n");
  const line = await lineOf(to, reply);
  expect([line["status"], line["error"], line["attempts"]]).toEqual([200, undefined, attempts]);
}

describe.concurrent("nothing comes before the first token", () => {
  for (const api of APIS) {
    for (const isHeadFirst of [true, false]) {
      const what = isHeadFirst ? "with a head" : "without a head";
      test(`row 132: a worker that is silent ${what}: the client has the head and a sign of life in time: ${api.name}`, async () => {
        const model = `silent ${what} ${api.name}`;
        await using engine = await startRawEngine(late(api, 3000, isHeadFirst));
        await using _served = await gateway.serve(model, [engine.url]);
        const reply = await timed(gateway, api, model);
        await expectEarly(gateway, api, reply);
        observe(
          132,
          `worker silent ${what} for 3 s, bound 1 s: head after ${Math.round(reply.headMs)} ms (${api.name})`,
        );
      });
    }

    test(`row 132: behind an early head another worker answers where the first is lost: ${api.name}`, async () => {
      const model = `lost ${api.name}`;
      let bad = 0;
      const lost = (exchange: RawExchange): void => {
        bad += 1;
        if (bad > 1) late(api, 0)(exchange);
        else setTimeout(exchange.reset, 2500);
      };
      await using one = await startRawEngine(lost);
      await using two = await startRawEngine(lost);
      await using _served = await gateway.serve(model, [one.url, two.url]);
      await expectEarly(gateway, api, await timed(gateway, api, model), 2);
      expect([one.generations, two.generations]).toEqual([1, 1]);
      observe(132, "lost behind an early head: whole from another worker, 2 attempts, in each API");
    });

    test(`row 132: behind an early head an error is told within the stream: ${api.name}`, async () => {
      const model = `failed ${api.name}`;
      await using engine = await startRawEngine(({ reset }) => void setTimeout(reset, 2500));
      await using _served = await gateway.serve(model, [engine.url]);
      const reply = await timed(gateway, api, model);
      expect([reply.status, reply.text]).toEqual([200, expect.stringMatching(keepAlive(api))]);
      expect(reply.headMs).toBeLessThan(EARLY_MS);
      expect(reply.text).not.toContain("[DONE]");
      const events = readEvents(reply.text).filter(({ name }) => name !== "ping");
      expect(events).toHaveLength(1);
      if (api === RESPONSES)
        expect(events[0]).toMatchObject({ name: "error", data: expect.stringContaining('"upstream_closed"') });
      else api.errorEvent(events, { code: "upstream_closed" });
      expect(await lineOf(gateway, reply)).toMatchObject({ status: 200, error: "upstream_closed", attempts: 1 });
      expect(await gateway.metric("pointsman_request_errors_total", { model, code: "upstream_closed" })).toBe(1);
      observe(
        132,
        "lost alone behind an early head: one error event, no end marker, status 200 and the error in line and metrics",
      );
    });
  }

  test("row 132: with `parse_output`, with threads, and over gRPC it is the same", async () => {
    await using engine = await startRawEngine(late(CHAT, 3000));
    await using tiny = await startTinyEngine({ timing: { prefillTokensPerSec: 9 } });
    await using _grpc = await gateway.serve("tiny-late", [tiny.url]);
    await using _parsed = await gateway.serve("parsed-qwen3", [engine.url]);
    await using _threaded = await threaded.serve("threaded", [engine.url]);
    const [overGrpc] = await Promise.all([
      timed(gateway, CHAT, "tiny-late", { max_tokens: 1 }),
      timed(gateway, CHAT, "parsed-qwen3").then((reply) => expectEarly(gateway, CHAT, reply)),
      timed(threaded, CHAT, "threaded").then((reply) => expectEarly(threaded, CHAT, reply)),
    ]);
    expect(overGrpc.headMs).toBeLessThan(Math.min(EARLY_MS, overGrpc.ms - 250));
    expect(overGrpc.text).toStartWith(": keep-alive\n");
    expect(overGrpc.text).toEndWith("data: [DONE]\n\n");
  });

  test("row 132: an answer that is not streamed waits for its status", async () => {
    await using engine = await startRawEngine(
      ({ write }) => void setTimeout(() => write(jsonAnswer(CHAT.whole("w"))), 2500),
    );
    await using _served = await gateway.serve("not-streamed", [engine.url]);
    const reply = await timed(gateway, CHAT, "not-streamed", { stream: false });
    expect(reply.headMs).toBeGreaterThan(2400);
    expect(reply.text).toBe(CHAT.whole("w"));
  });

  test("row 132: a client of HTTP/1.0 gets the same, until the connection is closed", async () => {
    await using engine = await startRawEngine(late(CHAT, 3000));
    await using _served = await gateway.serve("http10", [engine.url]);
    const asked = rawPost(CHAT.path, CHAT.body("http10", { stream: true })).replace("HTTP/1.1", "HTTP/1.0");
    const client = await openRaw(gateway.url, asked);
    await client.until(": keep-alive\n");
    expect(client.received).not.toContain("one");
    await client.closed;
    expect(client.received).toEndWith(whole(CHAT));
    expect(client.received).not.toContain("chunked");
  });

  test("row 132: a client that leaves behind an early head frees the worker at once", async () => {
    const closed = Promise.withResolvers<void>();
    await using engine = await startRawEngine((exchange) => void exchange.closed.then(closed.resolve));
    await using _served = await gateway.serve("left", [engine.url]);
    const client = await openRaw(
      gateway.url,
      rawPost(CHAT.path, CHAT.body("left", { stream: true }), "x-request-id: left-1\r\n"),
    );
    await client.until(": keep-alive\n");
    client.hangUp();
    await closed.promise;
    expect(await gateway.accessLine("left-1")).toMatchObject({ status: 499, error: "client_closed" });
  });
});

describe.concurrent("nothing comes while a request is in line", () => {
  const LINES: Readonly<Record<string, () => FaultGateway>> = {
    "before the gateway's places": () => narrow,
    "before a model's places": () => narrowByModel,
  };
  for (const [where, of] of Object.entries(LINES)) {
    test(`row 133: in line ${where}: the client has the head and a sign of life in time, then its answer, or the error as an event`, async () => {
      const to = of();
      const model = `line ${where}`;
      const held: RawExchange[] = [];
      await using engine = await startRawEngine((exchange) => void held.push(exchange));
      await using _served = await to.serve(model, [engine.url]);
      const holder = timed(to, CHAT, model, { seed: 1 });
      await eventually(() => held.length === 1, "the first has the place");
      const second = timed(to, CHAT, model, { seed: 2 });
      const bad = post(to.url + CHAT.path, "{not json");
      await Bun.sleep(2600);
      held[0]?.write(`${STREAM_HEAD}${chunk(whole(CHAT))}0\r\n\r\n`);
      await holder;
      await eventually(() => held.length === 2, "the second has the place");
      const third = timed(to, CHAT, model, { seed: 3 });
      await Bun.sleep(2400);
      held[1]?.write(`${STREAM_HEAD}${chunk(whole(CHAT))}0\r\n\r\n`);
      await expectEarly(to, CHAT, await second);
      await eventually(() => held.length === 3, "the third has the place");
      // The place is kept until the next one's time in line is over.
      const fourth = await timed(to, CHAT, model, { seed: 4 });
      expect([fourth.status, fourth.text]).toEqual([200, expect.stringContaining('"queue_timeout"')]);
      expect(fourth.text).not.toContain("[DONE]");
      expect(await lineOf(to, fourth)).toMatchObject({ status: 200, error: "queue_timeout", attempts: 0 });
      held[2]?.write(`${STREAM_HEAD}${chunk(whole(CHAT))}0\r\n\r\n`);
      expect(piecesIn(CHAT, (await third).text)).toEqual(["one"]);
      expect((await bad).status).toBe(400);
      const after = ask(to, CHAT, model, { stream: true, seed: 5 });
      await eventually(() => held.length === 4, "the place is free again");
      held[3]?.write(`${STREAM_HEAD}${chunk(whole(CHAT))}0\r\n\r\n`);
      expect((await after).text).toBe(whole(CHAT));
      observe(
        133,
        `in line ${where}, bound 1 s: head after ${Math.round((await second).headMs)} ms; time over: one error event`,
      );
    }, 20_000);
  }
});
