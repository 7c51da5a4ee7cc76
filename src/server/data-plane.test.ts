import { describe, expect, test } from "bun:test";
import { Metrics } from "../observability/metrics.ts";
import { ENDPOINTS } from "../protocol/endpoints.ts";
import type { InferenceRequest } from "../router/router.ts";
import { StreamWatch } from "../router/stream-watch.ts";
import type { Reply } from "../transport/downstream.ts";
import { IncomingRequest } from "../transport/http1-server/incoming-request.ts";
import { readRequestHead } from "../transport/http1-server/request-head.ts";
import { authOf, ringOf } from "../../test/support/keys.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { DataPlane } from "./data-plane.ts";
import { LocalGate } from "./gate.ts";
import { Pressure } from "./pressure.ts";

const BODY = Buffer.from('{"model":"m","messages":[]}');
const ENTRY = { client: "other", priority: "normal", patienceMs: Number.POSITIVE_INFINITY } as const;

const SETTINGS = {
  keepAliveMs: 15_000,
  totalMs: 1000,
  bodyStallMs: 30_000,
  maxBodyBytes: 1024,
  isModelRequired: false,
  sessionHeaders: [],
  logsDecisions: false,
  explainRatio: 0,
};

interface Setup {
  readonly clock: ManualClock;
  readonly gate: LocalGate;
  readonly dataPlane: DataPlane;
  request(): IncomingRequest;
}

function setUp(route: (request: InferenceRequest) => Promise<Reply>): Setup {
  const clock = new ManualClock();
  const far = 60_000;
  const gate = new LocalGate({ maxConcurrent: 1, maxConcurrentOf: () => 1, queueSize: 9, queueTimeoutMs: far }, clock);
  const dataPlane = new DataPlane({
    settings: SETTINGS,
    clock,
    logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
    metrics: new Metrics(),
    auth: authOf(),
    limits: ringOf().limits(),
    gate,
    pressure: new Pressure({ maxLoopDelayMs: Infinity, maxResidentBytes: Infinity }, clock),
    watch: new StreamWatch(clock),
    plans: undefined,
    route,
    maxBytesInFlight: 1_048_576,
  });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: ${BODY.length}`;
  const connection = { pause: ignore, resume: ignore, sendContinue: ignore, peerAddress: "127.0.0.1" };
  const request = (): IncomingRequest => new IncomingRequest(readRequestHead(head), connection, dataPlane.budget);
  return { clock, gate, dataPlane, request };
}

const ignore = (): void => undefined;
const [CHAT] = ENDPOINTS;

/** Lets promises run. */
async function settle(): Promise<void> {
  for (let count = 0; count < 20; count += 1) await Promise.resolve();
}

describe("the time of a request ends its wait", () => {
  interface Case {
    readonly hold?: (gate: LocalGate) => unknown;
    readonly sendsBody?: boolean;
    readonly routed?: boolean;
  }
  const { signal } = new AbortController();
  const CASES: Readonly<Record<string, Case>> = {
    "for a place": { hold: (gate) => gate.enter(ENTRY, signal) },
    "for the rest of its body": { sendsBody: false },
    "for a place of its model": { hold: (gate) => gate.enterModel("m", ENTRY, signal) },
    "for whatever a router waits for": { routed: true },
  };
  for (const [name, { hold, sendsBody = true, routed = false }] of Object.entries(CASES)) {
    test(name, async () => {
      if (!CHAT) throw new Error("no endpoint");
      let isRouted = false;
      const { clock, gate, dataPlane, request } = setUp(({ signal: ofRequest }) => {
        isRouted = true;
        return new Promise((_, reject) => ofRequest.addEventListener("abort", () => reject(ofRequest.reason)));
      });
      await hold?.(gate);
      const held = gate.admitted;
      const incoming = request();
      if (sendsBody) {
        incoming.offer(Buffer.from(BODY));
        incoming.end();
      }
      let reply: Reply | undefined;
      void dataPlane.handle(CHAT, incoming, "r-1").then((given) => (reply = given));
      await settle();
      clock.advance(999);
      await settle();
      expect([reply, isRouted, dataPlane.active]).toEqual([undefined, routed, 1]);
      clock.advance(400);
      await settle();
      expect([reply?.status, reply?.body]).toEqual([504, expect.stringContaining("upstream_timeout")]);
      expect([dataPlane.active, gate.admitted, gate.waiting]).toEqual([0, held, 0]);
    });
  }
});

test("a request that is over is not ended once more, and nothing is kept for its time", async () => {
  if (!CHAT) throw new Error("no endpoint");
  const { clock, dataPlane, request } = setUp(({ record }) => {
    record.settle(200);
    return Promise.resolve({ status: 200, headers: {}, body: "{}" });
  });
  const incoming = request();
  incoming.offer(Buffer.from(BODY));
  incoming.end();
  const pending = clock.pending;
  expect((await dataPlane.handle(CHAT, incoming, "r-1")).status).toBe(200);
  clock.advance(5000);
  expect([incoming.signal.aborted, clock.pending]).toEqual([false, pending]);
});

test("what a client is told of whom it waited for is on the clock of all that waits", async () => {
  if (!CHAT) throw new Error("no endpoint");
  const seen: number[] = [];
  const { clock, dataPlane, request } = setUp(({ record }) => {
    seen.push(record.startedAt, record.elapsedMs);
    record.settle(200);
    seen.push(record.durationMs);
    return Promise.resolve({ status: 200, headers: {}, body: "{}" });
  });
  clock.advance(70);
  const incoming = request();
  const reply = dataPlane.handle(CHAT, incoming, "r-1");
  clock.advance(30);
  incoming.offer(Buffer.from(BODY));
  incoming.end();
  await reply;
  expect(seen).toEqual([70, 30, 30]);
});

test("a request keeps the time and the way that it began with, and the next one has those of the change", async () => {
  if (!CHAT) throw new Error("no endpoint");
  const begun: string[] = [];
  const hanging =
    (name: string) =>
    ({ signal: ofRequest }: InferenceRequest): Promise<Reply> => {
      begun.push(name);
      return new Promise((_, reject) => ofRequest.addEventListener("abort", () => reject(ofRequest.reason)));
    };
  const { clock, dataPlane, gate, request } = setUp(hanging("before"));
  gate.replace({ maxConcurrent: 9, maxConcurrentOf: () => 9, queueSize: 9, queueTimeoutMs: 60_000 });
  const over: string[] = [];
  const ask = (name: string): void => {
    const incoming = request();
    incoming.offer(Buffer.from(BODY));
    incoming.end();
    void dataPlane.handle(CHAT, incoming, name).then(({ status }) => over.push(`${name} ${status}`));
  };
  ask("first");
  await settle();
  dataPlane.replace({ settings: { ...SETTINGS, totalMs: 5000 }, plans: undefined, route: hanging("after") });
  ask("second");
  await settle();
  expect([begun, dataPlane.active]).toEqual([["before", "after"], 2]);
  clock.advance(1300);
  await settle();
  expect(over).toEqual(["first 504"]);
  // Back to the first time, whose line is still there.
  dataPlane.replace({ settings: SETTINGS, plans: undefined, route: hanging("again") });
  ask("third");
  await settle();
  clock.advance(1300);
  await settle();
  expect(over).toEqual(["first 504", "third 504"]);
  clock.advance(3000);
  await settle();
  expect([over, dataPlane.active]).toEqual([["first 504", "third 504", "second 504"], 0]);
});
