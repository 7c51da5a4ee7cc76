import { describe, expect, test } from "bun:test";
import { exportBody } from "./otlp-json.ts";
import type { TracedChoice, TracedEnd } from "./request-trace.ts";
import { measured, type Span } from "./span.ts";
import { Tracer } from "./tracer.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER = "00f067aa0ba902b7";
const REQUEST = { path: "/v1/chat/completions", operation: "chat" };
const END: TracedEnd = {
  requestId: "r1",
  key: "team",
  model: "sim-1",
  route: undefined,
  policy: "least_ttft",
  attempts: 2,
  isStream: true,
  ttftMs: 130,
  tokens: { promptTokens: 100, completionTokens: 7, cachedTokens: 64 },
  errorCode: undefined,
  status: 200,
  durationMs: 300,
};

function choice(url: string): TracedChoice {
  const expected = { predictedTtftMs: 12.5, predictedCachedTokens: 64 };
  return {
    url,
    address: url.replace(/@\d+$/, ""),
    role: "regular",
    policy: "least_ttft",
    reason: "lowest_cost",
    candidates: 8,
    considered: ["a 1"],
    ...expected,
  };
}

interface Setup {
  readonly tracer: Tracer;
  readonly sent: Span[];
  /** Ms since the request began. */
  elapsedMs: number;
}

function setUp(ratio = 1, isParentBased = true): Setup {
  const sent: Span[] = [];
  const exporter = { add: (spans: readonly Span[]) => void sent.push(...spans) };
  return { tracer: new Tracer({ ratio, isParentBased, exporter, wallNow: () => 1_000_000 }), sent, elapsedMs: 0 };
}

function headers(flags: string | undefined, tracestate?: string): Headers {
  return new Headers({
    ...(flags === undefined ? {} : { traceparent: `00-${TRACE}-${CALLER}-${flags}` }),
    ...(tracestate === undefined ? {} : { tracestate }),
  });
}

describe("which requests are traced", () => {
  test("the caller decides where it sent its context, and the share where it did not", () => {
    const isTraced = (ratio: number, flags: string | undefined, isParentBased = true): boolean =>
      setUp(ratio, isParentBased).tracer.begin(REQUEST, headers(flags), { elapsedMs: 0 }) !== undefined;
    expect([isTraced(0, "01"), isTraced(1, "00"), isTraced(0, undefined), isTraced(1, undefined)]).toEqual([
      true,
      false,
      false,
      true,
    ]);
    expect([isTraced(0, "01", false), isTraced(1, "00", false)]).toEqual([false, true]);
  });
});

describe("the spans of a request", () => {
  test("are what the client asked, and below it each attempt at a worker", () => {
    const setup = setUp();
    const trace = setup.tracer.begin(REQUEST, headers("01", "vendor=1"), setup);
    if (!trace) throw new Error("it is not traced");
    setup.elapsedMs = 10;
    const first = trace.begin(choice("http://one:8000"));
    setup.elapsedMs = 40;
    trace.end(first, "upstream_unreachable");
    const second = trace.begin(choice("http://two:8000"));
    setup.elapsedMs = 130;
    trace.firstToken(second);
    setup.elapsedMs = 300;
    trace.end(second, undefined);
    setup.tracer.end(trace, END);
    const [server, failed, answered] = setup.sent;
    expect(setup.sent.every(({ traceId, tracestate }) => traceId === TRACE && tracestate === "vendor=1")).toBe(true);
    expect(server).toMatchObject({
      parentSpanId: CALLER,
      name: "POST /v1/chat/completions",
      kind: "server",
      startedAt: 1_000_000,
      endedAt: 1_000_300,
      error: undefined,
      attributes: {
        "http.response.status_code": 200,
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "sim-1",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 64,
        "pointsman.request_id": "r1",
        "pointsman.key": "team",
        "pointsman.attempts": 2,
      },
    });
    expect(server?.events.map(({ name, at }) => [name, at])).toEqual([
      ["pointsman.route", 1_000_010],
      ["pointsman.route", 1_000_040],
      ["pointsman.first_token", 1_000_130],
    ]);
    expect(server?.events[0]?.attributes).toMatchObject({
      "pointsman.worker": "http://one:8000",
      "pointsman.reason": "lowest_cost",
      "pointsman.candidates": 8,
      "pointsman.considered": ["a 1"],
      "pointsman.predicted_ttft_ms": { measured: 12.5 },
    });
    expect(failed).toMatchObject({
      parentSpanId: server?.spanId ?? "",
      name: "chat sim-1",
      kind: "client",
      endedAt: 1_000_040,
      error: "upstream_unreachable",
      attributes: {
        "server.address": "one",
        "server.port": 8000,
        "error.type": "upstream_unreachable",
        "pointsman.attempt": 1,
      },
    });
    expect(failed?.attributes["gen_ai.usage.input_tokens"]).toBeUndefined();
    expect(answered?.attributes).toMatchObject({
      "gen_ai.server.time_to_first_token": { measured: 0.09 },
      "gen_ai.usage.output_tokens": 7,
      "pointsman.attempt": 2,
    });
  });

  test("have times as numbers of floating point, also where they are whole, and addresses of IPv6 without brackets", () => {
    const setup = setUp();
    const trace = setup.tracer.begin(REQUEST, headers("01"), { elapsedMs: 0 });
    trace?.begin({ ...choice("http://[fd00::7]:8000"), predictedTtftMs: 12 });
    trace?.firstToken(0);
    if (trace) setup.tracer.end(trace, { ...END, ttftMs: 130 });
    const body = exportBody(setup.sent, {}, "1.2.3");
    for (const name of ["pointsman.ttft_ms", "pointsman.predicted_ttft_ms", "gen_ai.server.time_to_first_token"]) {
      expect(body).toMatch(new RegExp(`"key":"${name}","value":\\{"doubleValue":\\d+\\}`));
    }
    expect(setup.sent.at(-1)?.attributes).toMatchObject({ "server.address": "fd00::7", "server.port": 8000 });
  });

  test("tell each worker the attempt that it belongs to", () => {
    const setup = setUp();
    const trace = setup.tracer.begin(REQUEST, headers("01", "vendor=1"), { elapsedMs: 0 });
    trace?.begin(choice("http://one:8000"));
    trace?.begin(choice("http://two:8000"));
    const [one, two] = ["http://one:8000", "http://two:8000"].map((url) => trace?.headers(url));
    if (trace) setup.tracer.end(trace, END);
    expect([one, two]).toEqual(
      setup.sent.slice(1).map(({ spanId }) => ({ traceparent: `00-${TRACE}-${spanId}-01`, tracestate: "vendor=1" })),
    );
  });

  test("begin a trace of their own where the caller sent none, or nonsense", () => {
    const setup = setUp();
    for (const sent of [new Headers(), new Headers({ traceparent: "nonsense", tracestate: "vendor=1" })]) {
      const trace = setup.tracer.begin(REQUEST, sent, { elapsedMs: 0 });
      if (trace) setup.tracer.end(trace, END);
    }
    const [one, two] = setup.sent;
    expect([one?.parentSpanId, one?.tracestate, two?.tracestate]).toEqual([undefined, undefined, undefined]);
    expect(one?.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(one?.traceId).not.toBe(two?.traceId ?? "");
  });

  test("of a client's own mistake are no error, and those of the gateway's failure are", () => {
    const errorOf = (status: number, errorCode: string): string | undefined => {
      const setup = setUp();
      const trace = setup.tracer.begin(REQUEST, headers(undefined), { elapsedMs: 0 });
      if (trace) setup.tracer.end(trace, { ...END, status, errorCode });
      return setup.sent[0]?.error;
    };
    expect([errorOf(400, "invalid_request"), errorOf(503, "no_available_workers")]).toEqual([
      undefined,
      "no_available_workers",
    ]);
  });
});

test("a body of an export has hexadecimal ids, nanoseconds as text, and typed values", () => {
  const span: Span = {
    traceId: TRACE,
    spanId: CALLER,
    parentSpanId: undefined,
    tracestate: undefined,
    name: "n",
    kind: "client",
    startedAt: 1_764_201_600_000.25,
    endedAt: 1_764_201_600_001,
    attributes: { text: "a", whole: 7, part: 0.5, time: measured(3), is: true, list: ["x"], none: undefined },
    events: [{ name: "e", at: 1_764_201_600_000.5, attributes: {} }],
    error: "upstream_error",
  };
  expect(JSON.parse(exportBody([span], { "service.name": "pointsman" }, "1.2.3"))).toEqual({
    resourceSpans: [
      {
        resource: { attributes: [{ key: "service.name", value: { stringValue: "pointsman" } }] },
        scopeSpans: [
          {
            scope: { name: "pointsman", version: "1.2.3" },
            spans: [
              {
                traceId: TRACE,
                spanId: CALLER,
                flags: 1,
                name: "n",
                kind: 3,
                startTimeUnixNano: "1764201600000250000",
                endTimeUnixNano: "1764201600001000000",
                attributes: [
                  { key: "text", value: { stringValue: "a" } },
                  { key: "whole", value: { intValue: "7" } },
                  { key: "part", value: { doubleValue: 0.5 } },
                  { key: "time", value: { doubleValue: 3 } },
                  { key: "is", value: { boolValue: true } },
                  { key: "list", value: { arrayValue: { values: [{ stringValue: "x" }] } } },
                ],
                events: [{ name: "e", timeUnixNano: "1764201600000500000", attributes: [] }],
                status: { code: 2, message: "upstream_error" },
              },
            ],
          },
        ],
      },
    ],
  });
});
