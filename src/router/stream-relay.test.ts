import { describe, expect, test } from "bun:test";
import { PlayedClient, PlayedResponse, type RoutingSetup, setUpRouting } from "../../test/support/routing.ts";
import type { Picked } from "../policy/policy.ts";
import { clientClosed, GatewayError } from "../errors/errors.ts";
import { isReplyStream, type Reply } from "../transport/downstream.ts";
import type { WorkerResponse } from "./response-stage.ts";
import type { InferenceRequest } from "./router.ts";
import { StreamRelay } from "./stream-relay.ts";
import { StreamWatch } from "./stream-watch.ts";

const KEEP_ALIVE_MS = 5000;
const STALL_MS = 30_000;

const chunk = (content: string, finish: string | null = null): string =>
  `data: ${JSON.stringify({ id: "c", choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`;
const DONE = "data: [DONE]\n\n";

interface Setup extends RoutingSetup {
  readonly asked: InferenceRequest;
  readonly watch: StreamWatch;
  begin(upstream: WorkerResponse, pick?: Picked): Promise<Reply>;
  /** The stream as the client gets it. */
  relayed(upstream: WorkerResponse, client?: PlayedClient): Promise<string>;
}

function setUp(path = "/v1/chat/completions"): Setup {
  const setup = setUpRouting();
  const worker = setup.add("http://one:1", { modelId: "m" });
  const asked = setup.request({ path, isStream: true });
  const watch = new StreamWatch(setup.clock);
  const deps = { watch, clock: setup.clock, keepAliveMs: KEEP_ALIVE_MS, clientStallMs: STALL_MS };
  const begin = (upstream: WorkerResponse, pick?: Picked): Promise<Reply> =>
    new StreamRelay(deps, asked, { upstream, attempt: setup.attempt(worker, asked, pick) }, undefined).begin({});
  return {
    ...setup,
    asked,
    watch,
    begin,
    async relayed(upstream, client = new PlayedClient()) {
      const { body } = await begin(upstream);
      if (!isReplyStream(body)) throw new Error("this is no stream");
      await body.run(client);
      return client.text;
    },
  };
}

/** Two pieces at once: the first is read, the rest is followed. */
const WHOLE = [chunk("a"), chunk("b"), chunk("c"), chunk("", "stop"), DONE];

describe("a stream that ends well", () => {
  test("passes as it is, after its first event the fast way, and settles everything", async () => {
    const setup = setUp();
    const upstream = new PlayedResponse(WHOLE);
    expect(await setup.relayed(upstream)).toBe(WHOLE.join(""));
    expect(upstream.followed).toBe(4);
    expect(setup.asked.record).toMatchObject({ status: 200, events: 4, errorCode: undefined });
    expect([setup.ledger.totals().inFlight, setup.watch.size]).toEqual([0, 0]);
  });

  test("tells the policy of each piece after the first, with the time since the worker was charged", async () => {
    const setup = setUp();
    const told: number[] = [];
    const pick = { index: 0, onPiece: (ms: number) => void told.push(ms) };
    const upstream = new PlayedResponse(WHOLE);
    const { body } = await setup.begin(upstream, pick);
    setup.clock.advance(120);
    if (isReplyStream(body)) await body.run(new PlayedClient());
    expect(told).toEqual([120, 120, 120, 120]);
  });

  test("is given its end marker where each answer has ended", async () => {
    const setup = setUp();
    expect(await setup.relayed(new PlayedResponse(WHOLE.slice(0, -1)))).toBe(WHOLE.join(""));
    expect(setup.asked.record.isEndMarkerAdded).toBe(true);
  });

  test("tells when it begins: comments before the first event are held", async () => {
    const setup = setUp();
    let begun = 0;
    const upstream = Object.assign(new PlayedResponse([": hello\n\n", ...WHOLE]), { begun: () => void (begun += 1) });
    const reply = await setup.begin(upstream);
    expect([begun, reply.status]).toEqual([1, 200]);
    const client = new PlayedClient();
    if (isReplyStream(reply.body)) await reply.body.run(client);
    expect(client.text).toBe(`: hello\n\n${WHOLE.join("")}`);
  });
});

describe("an answer that is announced before its prompt is prefilled", () => {
  const event = (type: string, more: object = {}): string =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;
  const END = event("response.completed", { response: {} });

  async function told(instructions: string): Promise<{ ms: number[]; ttftMs: number | undefined; isWhole: boolean }> {
    const setup = setUp("/v1/responses");
    const announced = ["created", "in_progress"].map((what) =>
      event(`response.${what}`, { response: { id: "r", instructions } }),
    );
    const delta = event("response.output_text.delta", { delta: "hi" });
    const pieces = [...announced, delta, END];
    const upstream = new PlayedResponse(pieces);
    let read = 0;
    const played: WorkerResponse = {
      status: 200,
      headers: upstream.headers,
      read() {
        if (read === announced.length) setup.clock.advance(700);
        const piece = pieces[read];
        read += 1;
        return piece === undefined ? undefined : Buffer.from(piece);
      },
      bytes: () => new Uint8Array(0),
      discard: () => undefined,
    };
    const ms: number[] = [];
    const client = new PlayedClient();
    const { body } = await setup.begin(played, { index: 0, onFirstToken: (after) => void ms.push(after) });
    if (isReplyStream(body)) await body.run(client);
    return { ms, ttftMs: setup.asked.record.ttftMs, isWhole: client.text.startsWith(pieces.join("")) };
  }

  test("has its first token when its first part comes, and the client gets all of it", async () => {
    expect(await told("be brief")).toEqual({ ms: [700], ttftMs: 700, isWhole: true });
    expect(await told("x".repeat(500_000))).toEqual({ ms: [700], ttftMs: 700, isWhole: true });
  });

  test("has not begun where the engine fails before its first part, however its events arrive", async () => {
    const created = event("response.created", { response: { id: "r" } });
    const failure = event("error", { code: "server_error", message: "broken" });
    for (const pieces of [
      [created + failure],
      [created, failure],
      [failure],
      [created.slice(0, 9), created.slice(9) + failure],
    ]) {
      const begun = setUp("/v1/responses").begin(new PlayedResponse(pieces));
      expect(await begun.catch((error: unknown) => error)).toMatchObject({ code: "upstream_stream_error" });
    }
  });

  test("begins at once where more was announced than is held", async () => {
    expect(await told("x".repeat(1_100_000))).toEqual({ ms: [0], ttftMs: 0, isWhole: true });
  });
});

describe("a stream that was written here", () => {
  /** Says of itself what is read of it, in two pieces. */
  function written(): WorkerResponse {
    const usage = { promptTokens: 1, completionTokens: 2, cachedTokens: undefined };
    const account = { events: 0, isEnded: false, usage };
    const pieces = ["not an event", " at all"];
    return {
      status: 200,
      headers: new Map(),
      account,
      read() {
        const piece = pieces.shift();
        account.events = 7;
        account.isEnded = pieces.length === 0;
        return piece === undefined ? undefined : Buffer.from(piece);
      },
      bytes: () => new Uint8Array(0),
      discard: () => undefined,
    };
  }

  test("is not read: its bytes pass whatever they are, and its own account counts", async () => {
    const setup = setUp();
    expect(await setup.relayed(written())).toBe("not an event at all");
    expect(setup.asked.record).toMatchObject({ status: 200, events: 7, tokens: { completionTokens: 2 } });
  });

  test("is read where the API has to know how far it is to tell an error", async () => {
    const setup = setUp("/v1/responses");
    const error = await setup.begin(written()).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "upstream_truncated" });
  });
});

describe("a stream that fails", () => {
  test("before its first event is an error", async () => {
    const setup = setUp();
    const lost = new GatewayError("upstream_reset", "gone");
    expect(await setup.begin(new PlayedResponse([lost])).catch((error: unknown) => error)).toBe(lost);
    expect(await setup.begin(new PlayedResponse([])).catch((error: unknown) => error)).toMatchObject({
      code: "upstream_truncated",
    });
  });

  test("by an error that stands in it as JSON, and is no event, is that error", async () => {
    const told = '{"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}}';
    for (const pieces of [[told], [told.slice(0, 20), `${told.slice(20)}\n`], [": hi\n\n", told]]) {
      const error = await setUp()
        .begin(new PlayedResponse(pieces))
        .catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "upstream_rejected", status: 400, message: "too long" });
    }
    for (const other of ["{", '{"a":1}', "data: {}", "data: {}\n"]) {
      const error = await setUp()
        .begin(new PlayedResponse([other]))
        .catch((thrown: unknown) => thrown);
      expect([other, error]).toMatchObject([other, { code: "upstream_truncated" }]);
    }
  });

  test("after it ends with an error event and no end marker", async () => {
    const setup = setUp();
    const text = await setup.relayed(new PlayedResponse([chunk("a"), new GatewayError("upstream_reset", "gone")]));
    expect(text).toStartWith(chunk("a"));
    expect([text.includes('"error"'), text.includes("[DONE]")]).toEqual([true, false]);
    expect(setup.asked.record).toMatchObject({ status: 200, errorCode: "upstream_reset" });
  });

  test("by ending within an answer is told as cut", async () => {
    const setup = setUp();
    expect(await setup.relayed(new PlayedResponse([chunk("a")]))).toContain("upstream_truncated");
    expect(setup.asked.record.errorCode).toBe("upstream_truncated");
  });

  test("by what its engine tells does not show the engine's event", async () => {
    const setup = setUp();
    const text = await setup.relayed(new PlayedResponse([chunk("a"), 'data: {"error":{"message":"x"}}\n\n']));
    expect(text).not.toContain('{"error":{"message":"x"}}');
    expect(setup.asked.record.errorCode).toBe("upstream_stream_error");
  });

  test("because its client left writes nothing more", async () => {
    const setup = setUp();
    const upstream = new PlayedResponse([chunk("a"), new GatewayError("upstream_reset", "gone")]);
    const { body } = await setup.begin(upstream);
    setup.client.leave(clientClosed());
    const client = new PlayedClient();
    if (isReplyStream(body)) await body.run(client);
    expect(client.text).toBe(chunk("a"));
    expect(setup.asked.record).toMatchObject({ status: 499, errorCode: "client_closed" });
  });
});

describe("a stream on the clock", () => {
  test("is kept alive where the worker says nothing", async () => {
    const setup = setUp();
    const upstream = new PlayedResponse([chunk("a")]);
    const silence = Promise.withResolvers<undefined>();
    const { read } = PlayedResponse.prototype;
    let reads = 0;
    upstream.read = () => ((reads += 1) === 1 ? read.call(upstream) : silence.promise);
    const client = new PlayedClient();
    const relaying = setup.relayed(upstream, client);
    while (client.text === "") await Promise.resolve();
    setup.clock.advance(KEEP_ALIVE_MS + 2000);
    expect(client.text).toBe(`${chunk("a")}${setup.asked.endpoint.dialect.keepAliveEvent}`);
    silence.resolve(undefined);
    await relaying;
  });

  test("whose client takes nothing for too long is broken off", async () => {
    const setup = setUp();
    const client = new PlayedClient();
    const taken = Promise.withResolvers<void>();
    client.pressure = taken.promise;
    const relaying = setup.relayed(new PlayedResponse(WHOLE), client);
    while (client.text === "") await Promise.resolve();
    setup.clock.advance(STALL_MS - 1000);
    expect(client.isBroken).toBe(false);
    setup.clock.advance(2000);
    expect(client.isBroken).toBe(true);
    taken.resolve();
    await relaying;
  });
});
