import { describe, expect, test } from "bun:test";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import { settled } from "../../../test/support/settled.ts";
import { deliverOverHttp } from "./otlp-http.ts";
import type { Span } from "./span.ts";
import { type Batching, BATCHING, SpanExporter } from "./span-exporter.ts";

function spans(count: number): Span[] {
  return Array.from({ length: count }, (_, index) => ({
    traceId: "a".repeat(32),
    spanId: String(index).padStart(16, "0"),
    parentSpanId: undefined,
    tracestate: undefined,
    name: "n",
    kind: "server",
    startedAt: 0,
    endedAt: 1,
    attributes: {},
    events: [],
    error: undefined,
  }));
}

interface Setup {
  readonly exporter: SpanExporter;
  readonly clock: ManualClock;
  /** Spans of each export. */
  readonly exports: number[];
  readonly counts: Record<"sent" | "dropped", number>;
  readonly told: string[];
  readonly headers: unknown[];
  answer: () => Promise<Response>;
}

function setUp(batching: Batching = BATCHING): Setup {
  const clock = new ManualClock();
  const setup = {
    clock,
    exports: [] as number[],
    counts: { sent: 0, dropped: 0 },
    told: [] as string[],
    headers: [] as unknown[],
    answer: () => Promise.resolve(new Response("{}")),
  };
  const note = (_fields: object, text: string): void => void setup.told.push(text);
  const settings = {
    protocol: "http/json",
    headers: { "x-key": "k" },
    resource: {},
    version: "1",
    timeoutMs: 10_000,
    isCompressed: false,
  } as const;
  const exporter = new SpanExporter({
    url: "http://collector/v1/traces",
    deliver: deliverOverHttp({ ...settings, url: "http://collector/v1/traces" }, (_url, init) => {
      const body = JSON.parse(String(init.body)) as { resourceSpans: { scopeSpans: { spans: unknown[] }[] }[] };
      setup.exports.push(body.resourceSpans[0]?.scopeSpans[0]?.spans.length ?? 0);
      setup.headers.push(init.headers);
      return setup.answer();
    }),
    batching,
    clock,
    logger: { debug: note, info: note, warn: note, error: note },
    onCount: (outcome, count) => (setup.counts[outcome] += count),
  });
  return Object.assign(setup, { exporter });
}

describe("spans", () => {
  test("are gathered for a second, or until there are 512", async () => {
    const { exporter, clock, exports, counts, headers } = setUp();
    exporter.add(spans(2));
    exporter.add(spans(3));
    clock.advance(999);
    await settled();
    expect(exports).toEqual([]);
    clock.advance(1);
    await settled();
    expect([exports, counts.sent, headers]).toEqual([[5], 5, [{ "content-type": "application/json", "x-key": "k" }]]);
    exporter.add(spans(512));
    await settled();
    expect(exports).toEqual([5, 512]);
  });

  test("are gathered by the bounds that it was given", async () => {
    const { exporter, clock, exports, counts } = setUp({ ...BATCHING, gatherMs: 200, maxBatch: 3, maxWaiting: 5 });
    exporter.add(spans(2));
    clock.advance(200);
    await settled();
    expect(exports).toEqual([2]);
    exporter.add(spans(4));
    await settled();
    expect(exports).toEqual([2, 3, 1]);
    exporter.add(spans(6));
    expect(counts).toEqual({ sent: 6, dropped: 6 });
  });

  test("are compressed, and the connection has the certificates that it was given, where that is wanted", async () => {
    const sent: { headers: unknown; text: string; tls: unknown }[] = [];
    const deliver = deliverOverHttp(
      {
        protocol: "http/json",
        url: "https://collector/v1/traces",
        headers: {},
        resource: {},
        version: "1",
        timeoutMs: 1000,
        isCompressed: true,
        tls: { ca: "ca", pair: { cert: "cert", key: "key" } },
      },
      async (_url, { headers, body, tls }) => {
        sent.push({ headers, text: Buffer.from(Bun.gunzipSync(Buffer.from(body))).toString(), tls });
        return new Response("{}");
      },
    );
    expect(await deliver(spans(1), 1000)).toBeUndefined();
    expect(sent).toEqual([
      {
        headers: { "content-type": "application/json", "content-encoding": "gzip" },
        text: expect.stringContaining('"resourceSpans"'),
        tls: { ca: "ca", cert: "cert", key: "key" },
      },
    ]);
  });

  test("are sent again where the collector is busy, three times at most", async () => {
    const setup = setUp();
    setup.answer = () => Promise.resolve(new Response("", { status: 503 }));
    setup.exporter.add(spans(512));
    for (let second = 0; second < 5; second += 1) {
      await settled();
      setup.clock.advance(1000);
    }
    await settled();
    expect([setup.exports, setup.counts]).toEqual([[512, 512, 512], { sent: 0, dropped: 512 }]);
  });

  test("are given up where another try would begin too late, and no try may last longer than what is left", async () => {
    const clock = new ManualClock();
    const within: number[] = [];
    const reasons: object[] = [];
    const note = (fields: object): void => void reasons.push(fields);
    const exporter = new SpanExporter({
      url: "u",
      deliver: async (_batch, withinMs) => {
        within.push(withinMs);
        clock.advance(800);
        return { reason: "busy", mayRepeat: true };
      },
      batching: { ...BATCHING, exportMs: 3000 },
      clock,
      logger: { debug: note, info: note, warn: note, error: note },
      onCount: () => undefined,
    });
    exporter.add(spans(512));
    for (let second = 0; second < 5; second += 1) {
      await settled();
      clock.advance(1000);
    }
    // 0.8 s for the try, 1 s of rest, 0.8 s: two more seconds of rest would be too late.
    expect([within, reasons]).toEqual([[3000, 1200], [{ url: "u", reason: "busy" }]]);
  });

  test("are dropped where the collector refuses them, and each change is told once", async () => {
    const setup = setUp();
    setup.answer = () => Promise.resolve(new Response("", { status: 400 }));
    for (let round = 0; round < 3; round += 1) {
      setup.exporter.add(spans(512));
      await settled();
      setup.clock.advance(1000);
    }
    setup.answer = () => Promise.resolve(new Response("{}"));
    setup.exporter.add(spans(1));
    setup.clock.advance(1000);
    await settled();
    expect(setup.told).toEqual(["traces are not taken; spans are dropped", "traces are taken again"]);
    expect(setup.counts).toEqual({ sent: 1, dropped: 3 * 512 });
  });

  test("wait in a bounded line while the collector does not answer", async () => {
    const setup = setUp();
    const { promise, resolve } = Promise.withResolvers<Response>();
    setup.answer = () => promise;
    for (let round = 0; round < 40; round += 1) setup.exporter.add(spans(512));
    await settled();
    expect(setup.exports).toEqual([512]);
    expect(setup.counts.dropped).toBe(40 * 512 - 8192 - 512);
    resolve(new Response("{}"));
  });

  test("that wait at the end are sent, for two seconds at most", async () => {
    const setup = setUp();
    setup.exporter.add(spans(3));
    await setup.exporter.close();
    expect([setup.exports, setup.counts.sent]).toEqual([[3], 3]);
    const stuck = setUp();
    stuck.answer = () => new Promise(() => undefined);
    stuck.exporter.add(spans(600));
    const closed = stuck.exporter.close();
    await settled();
    stuck.clock.advance(2000);
    await closed;
    expect(stuck.counts.dropped).toBe(88);
    stuck.exporter.add(spans(1));
    expect(stuck.counts.dropped).toBe(89);
  });
});
