import { describe, expect, test } from "bun:test";
import { bodySentIn, PlayedTransport } from "../../../test/support/played-transport.ts";
import { PlayedResponse, type RequestOptions, type RoutingSetup, setUpRouting } from "../../../test/support/routing.ts";
import { changed } from "../../../test/support/changed.ts";
import { GatewayError } from "../../errors/errors.ts";
import type { UpstreamRequest } from "../../transport/upstream.ts";
import type { WorkerResponse } from "../response-stage.ts";
import type { Try } from "../try.ts";
import { createVia } from "../../transport/via.ts";
import { HttpForwarder } from "./http-forwarder.ts";
import { HttpPdSender } from "./http-pd-sender.ts";

const TIMEOUTS = { connectMs: 1, firstByteMs: 2, idleMs: 3, totalMs: 60_000 };
const PARAMS = { remote_engine_id: "e1", remote_block_ids: [1] };
const NIXL_PREFILL = JSON.stringify({ kv_transfer_params: PARAMS, usage: { prompt_tokens: 9 } });

interface Setup extends RoutingSetup {
  readonly transport: PlayedTransport;
  /** The try that was sent. */
  readonly tried: Try;
  send(options?: RequestOptions): Promise<WorkerResponse>;
}

/** A pair with this connector; `answer` says what each worker answers. */
function setUp(
  connector: string,
  answer: (request: UpstreamRequest) => WorkerResponse | Promise<WorkerResponse>,
): Setup {
  const setup = setUpRouting();
  const transport = new PlayedTransport(answer);
  const sender = new HttpPdSender(
    new HttpForwarder({ transport, timeouts: TIMEOUTS, forwardHeaders: [], via: createVia() }),
    setup.metrics,
  );
  const labels = { kv_connector: connector };
  const prefill = setup.attempt(setup.add("http://p:1", { modelId: "m", workerType: "prefill", labels }));
  const decode = setup.attempt(setup.add("http://d:1", { modelId: "m", workerType: "decode", labels }));
  const tried = { prefill, answer: decode };
  return { ...setup, transport, tried, send: (options) => sender.send(setup.request(options), tried) };
}

const isPrefill = ({ origin }: UpstreamRequest): boolean => origin === "http://p:1";
const json = (text: string, status = 200): PlayedResponse =>
  new PlayedResponse([text], { status, type: "application/json" });
const errorOf = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

describe("a pair whose decode worker is asked once prefill has answered", () => {
  test("gets what prefill handed over, word for word, under one id", async () => {
    const { transport, send, metrics } = setUp("nixl", (request) => json(isPrefill(request) ? NIXL_PREFILL : "{}"));
    await send();
    const [first, second] = transport.sent;
    expect(transport.sent.map(({ origin }) => origin)).toEqual(["http://p:1", "http://d:1"]);
    expect(first && bodySentIn(first)).toMatchObject({ max_tokens: 1, stream: false });
    expect(second && bodySentIn(second)).toMatchObject({ kv_transfer_params: PARAMS });
    const ids = transport.sent.map(({ headers }) => /x-request-id: (\S+)/.exec(headers)?.[1]);
    expect(ids[0]).toBe(ids[1] ?? "");
    expect(metrics.expose()).toMatch(/kv_transfers_total\{[^}]*outcome="handed_over"\} 1/);
  });

  test("prefills for itself where prefill handed nothing over, which is counted", async () => {
    const { transport, send, metrics } = setUp("nixl", () => json("{}"));
    await send();
    const [, second] = transport.sent;
    expect(second && bodySentIn(second)["kv_transfer_params"]).toBeNull();
    expect(metrics.expose()).toMatch(/kv_transfers_total\{[^}]*outcome="missing"\} 1/);
  });

  test("is left alone for several answers, as one hand-over is for one", async () => {
    const { transport, send, tried, ledger } = setUp("nixl", () => json("{}"));
    await send({ body: { n: 2 } });
    expect(transport.sent.map(({ origin }) => origin)).toEqual(["http://d:1"]);
    expect([tried.prefill?.failure, ledger.totals().inFlight]).toEqual([undefined, 1]);
  });

  test("is not asked where prefill refuses, and the error is prefill's", async () => {
    const { transport, send, tried } = setUp("nixl", () => json('{"error":{"message":"no"}}', 500));
    const error = await errorOf(send());
    expect([transport.sent.length, error === tried.prefill?.failure, tried.answer.failure]).toEqual([
      1,
      true,
      undefined,
    ]);
  });

  test("tells cached tokens as prefill counted them, and its stream keeps the fast way", async () => {
    const usage = { prompt_tokens: 9, prompt_tokens_details: { cached_tokens: 4 } };
    const event = (cached: number): string =>
      `data: ${JSON.stringify({ usage: { ...usage, prompt_tokens_details: { cached_tokens: cached } } })}\n\n`;
    const { send } = setUp("nixl", (request) =>
      isPrefill(request) ? json(JSON.stringify({ kv_transfer_params: PARAMS, usage })) : new PlayedResponse([event(9)]),
    );
    const response = await send({ isStream: true });
    expect(response.changes?.some(({ readsText }) => readsText)).toBe(false);
    expect(await changed(response)).toBe(event(4));
  });
});

describe("a pair that is asked at once", () => {
  test("meets in a room that both are told, and decode's stream passes as it is", async () => {
    const { transport, send } = setUp("sglang", () => new PlayedResponse(["data: {}\n\n"]));
    const response = await send({ isStream: true });
    const rooms = transport.sent.map((request) => bodySentIn(request)["bootstrap_room"]);
    expect([rooms.length, typeof rooms[0], rooms[0]]).toEqual([2, "number", rooms[1]]);
    expect([response.changes, await changed(response)]).toEqual([[], "data: {}\n\n"]);
  });

  test("waits for prefill's log-probabilities where they are a part of the answer", async () => {
    const prefill = JSON.stringify({ meta_info: { input_token_logprobs: [[-1, 1, null]] } });
    const { send } = setUp("sglang", (request) => json(isPrefill(request) ? prefill : '{"meta_info":{}}'));
    const response = await send({ path: "/generate", body: { text: "a", return_logprob: true } });
    expect(Buffer.from(await response.bytes(1000)).toString()).toBe(prefill);
  });

  test("ends prefill where decode cannot be asked, and blames decode", async () => {
    const { send, transport, tried } = setUp("sglang", (request) => {
      if (isPrefill(request)) return new Promise(() => undefined);
      throw new GatewayError("upstream_connect_failed", "nobody listens");
    });
    expect(await errorOf(send())).toMatchObject({ code: "upstream_connect_failed" });
    expect([transport.sent[0]?.signal?.aborted, tried.prefill?.failure]).toEqual([true, undefined]);
  });

  test("has no such route where its connector does not serve it", async () => {
    const { send, transport } = setUp("sglang", () => json("{}"));
    expect(await errorOf(send({ path: "/v1/messages" }))).toMatchObject({ code: "not_implemented" });
    expect(transport.sent).toEqual([]);
  });
});

test("a request that a decode worker answers alone gets the client's bytes", async () => {
  const { transport, request, tried, metrics } = setUp("nixl", () => json("{}"));
  const sender = new HttpPdSender(
    new HttpForwarder({ transport, timeouts: TIMEOUTS, forwardHeaders: [], via: createVia() }),
    metrics,
  );
  await sender.send(request({ path: "/tokenize", body: { prompt: "a" } }), {
    prefill: undefined,
    answer: tried.answer,
  });
  expect(transport.sent.map((sent) => [sent.origin, bodySentIn(sent)])).toEqual([
    ["http://d:1", { model: "m", prompt: "a" }],
  ]);
});
