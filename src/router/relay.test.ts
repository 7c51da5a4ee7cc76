import { describe, expect, test } from "bun:test";
import { PlayedResponse, type RequestOptions, setUpRouting } from "../../test/support/routing.ts";
import { asGatewayError, GatewayError } from "../errors/errors.ts";
import type { RequestRecord } from "../observability/request-record.ts";
import type { Reply } from "../transport/downstream.ts";
import { relay } from "./relay.ts";
import { StreamWatch } from "./stream-watch.ts";

interface Relayed {
  readonly reply: Reply | undefined;
  readonly error: GatewayError | undefined;
  readonly record: RequestRecord;
  readonly inFlight: number;
  readonly isDiscarded: boolean;
}

async function relayed(upstream: PlayedResponse, options: RequestOptions = {}): Promise<Relayed> {
  const setup = setUpRouting();
  const { clock, ledger } = setup;
  const request = setup.request(options);
  const attempt = setup.attempt(setup.add("http://worker:1", { modelId: "m" }), request);
  const deps = { watch: new StreamWatch(clock), clock, keepAliveMs: 5000, clientStallMs: 5000 };
  let reply: Reply | undefined;
  let error: GatewayError | undefined;
  try {
    reply = await relay(deps, request, { sent: Promise.resolve(upstream), attempt }, undefined);
  } catch (thrown) {
    error = asGatewayError(thrown);
  }
  return {
    reply,
    error,
    record: request.record,
    inFlight: ledger.totals().inFlight,
    isDiscarded: upstream.isDiscarded,
  };
}

const json = (body: string, type = "application/json", status = 200): PlayedResponse =>
  new PlayedResponse([body], { type, status });
const bodyOf = ({ reply }: Relayed): string => Buffer.from(reply?.body as Uint8Array).toString();

describe("a whole answer", () => {
  test("passes as it is, with the API's headers and its counts in the record", async () => {
    const body = '{ "usage": {"prompt_tokens":1,"completion_tokens":2}, "x": 1.0 }';
    const told = await relayed(json(body));
    expect([told.reply?.status, bodyOf(told), told.inFlight]).toEqual([200, body, 0]);
    expect(told.reply?.headers).toMatchObject({ "content-type": "application/json", "x-request-id": "r1" });
    expect(told.record).toMatchObject({ status: 200, tokens: { promptTokens: 1, completionTokens: 2 } });
  });

  test("that breaks or falls silent within, or before the first event of a stream, is as if the worker had been lost before it: the client has nothing of it", async () => {
    for (const [within, code] of [
      ["upstream_reset", "upstream_closed"],
      ["upstream_stalled", "upstream_timeout"],
    ] as const) {
      for (const [piece, type, status] of [
        ['{"choices"', "application/json", 200],
        ['{"error"', "application/json", 500],
        [": hello\n\n", "text/event-stream", 200],
      ] as const) {
        const upstream = new PlayedResponse([piece, new GatewayError(within, "lost")], { type, status });
        const { error, reply, isDiscarded } = await relayed(upstream, { isStream: type !== "application/json" });
        expect([error?.code, error?.row.retry, reply, isDiscarded]).toEqual([code, "ambiguous", undefined, true]);
      }
    }
  });

  test("in whose place an error stands is that error: the worker's fault, its being full, or the client's mistake", async () => {
    const code = async (body: object): Promise<unknown> => {
      const { error, reply } = await relayed(json(JSON.stringify(body)));
      expect(reply).toBeUndefined();
      return [error?.code, error?.status];
    };
    for (const body of [
      { object: "error", message: "out of memory" },
      { error: { message: "out of memory", code: 500 } },
      { error: "out of memory" },
      { type: "error", error: { type: "api_error", message: "out of memory" } },
    ]) {
      expect([body, await code(body)]).toEqual([body, ["upstream_error", 500]]);
    }
    expect(await code({ error: { message: "full", code: 429 } })).toEqual(["upstream_busy", 503]);
    expect(await code({ error: { message: "too long", code: 400 } })).toEqual(["upstream_rejected", 400]);
  });

  test("that has an error beside it is an answer", async () => {
    for (const body of [
      '{"object":"response","status":"failed","output":[],"error":{"code":"server_error","message":"x"}}',
      '{"choices":[{"finish_reason":"stop"}],"error":{"message":"late"}}',
      '{"choices":[],"error":null}',
      '{"tokens":[1],"error":""}',
    ]) {
      expect(bodyOf(await relayed(json(body)))).toBe(body);
    }
  });

  test("is taken under any name that JSON has, and under none", async () => {
    for (const type of ["application/json; charset=utf-8", "application/problem+json", ""]) {
      expect((await relayed(json("{}", type))).reply?.status).toBe(200);
    }
  });

  test("that is large is looked at by its ends, and its counts are found", async () => {
    const filler = "x".repeat(70_000);
    const told = await relayed(json(`{"data":"${filler}","usage":{"prompt_tokens":3,"completion_tokens":0}}`));
    expect(told.record.tokens).toMatchObject({ promptTokens: 3 });
    expect((await relayed(json(`{"data":"${filler}`))).error?.code).toBe("invalid_upstream_response");
  });

  test("is refused where it is no JSON, has another type, or is encoded", async () => {
    expect((await relayed(json("<html>"))).error?.code).toBe("invalid_upstream_response");
    expect((await relayed(json("{}", "text/html"))).error?.code).toBe("invalid_upstream_response");
    const encoded = json("{}");
    const headers = new Map([...encoded.headers, ["content-encoding", "gzip"]]);
    const told = await relayed(Object.assign(encoded, { headers }));
    expect([told.error?.code, told.isDiscarded]).toEqual(["invalid_upstream_response", true]);
  });

  test("may be numbers as bytes where these were asked for, and what they are passes beside them", async () => {
    const bytes = json("\u0001\u0002", "application/octet-stream");
    const metadata = '{"usage":{"prompt_tokens":4}}';
    const headers = new Map([...bytes.headers, ["metadata", metadata]]);
    const options = { path: "/v1/embeddings", body: { encoding_format: "bytes" } };
    const told = await relayed(Object.assign(bytes, { headers }), options);
    expect([told.reply?.headers["content-type"], told.reply?.headers["metadata"]]).toEqual([
      "application/octet-stream",
      metadata,
    ]);
    expect(told.record.tokens).toMatchObject({ promptTokens: 4 });
    expect((await relayed(json("\u0001", "application/octet-stream"))).error?.code).toBe("invalid_upstream_response");
  });
});

describe("an error of the worker", () => {
  test("is what its status means, and says nothing of its address", async () => {
    const told = await relayed(json('{"error":{"message":"http://worker:1 has no memory"}}', "application/json", 500));
    expect([told.error?.code, told.isDiscarded]).toEqual(["upstream_error", true]);
    expect(told.error?.message).not.toContain("worker:1");
  });

  test("leaves its attempt to whoever may try again", async () => {
    expect((await relayed(json("{}", "application/json", 503))).inFlight).toBe(1);
  });
});

describe("a stream", () => {
  test("has the headers of one, and begins with its first event", async () => {
    const event = 'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n';
    const { reply } = await relayed(new PlayedResponse([event]), { isStream: true });
    expect(reply?.headers).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
    });
  });

  test("that is none is refused", async () => {
    for (const upstream of [
      json("{}"),
      json('{"choices":[],"error":{"message":"x"}}'),
      json("{"),
      json("<p>", "text/html"),
    ]) {
      const { error, isDiscarded } = await relayed(upstream, { isStream: true });
      expect([error?.code, isDiscarded]).toEqual(["invalid_upstream_response", true]);
    }
  });

  test("in whose place an error stands as JSON is that error", async () => {
    const { error, isDiscarded } = await relayed(
      json(
        '{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}',
      ),
      { isStream: true },
    );
    expect([error?.code, error?.status, error?.message, isDiscarded]).toEqual([
      "upstream_rejected",
      400,
      "too long",
      true,
    ]);
    expect(error?.details).toMatchObject({ param: "messages", workerCode: "context_length_exceeded" });
    const busy = json('{"error":{"message":"full","type":"overloaded_error"}}', "application/json; charset=utf-8");
    expect((await relayed(busy, { isStream: true })).error?.code).toBe("upstream_busy");
  });
});
