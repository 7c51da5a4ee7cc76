import { describe, expect, test } from "bun:test";
import type { PdFault } from "../engines/pd/faults.ts";
import type { PdEngine } from "../engines/pd/pd-engine.ts";
import type { PdDialect, PdSide } from "../engines/pd/pd-options.ts";
import type { PdFleet } from "../support/pd-engines.ts";
import { post, type TestGateway } from "../support/gateway.ts";
import { CHAT, QUESTION } from "../support/pd-client.ts";
import { answerText, startPdFleet } from "../support/pd-engines.ts";
import { metricOf, startPdGateway } from "../support/pd-gateway.ts";
import { streamText } from "../support/stream-text.ts";
import { eventually, openaiError } from "../faults/observe.ts";

/*
 * Every fault of each leg at every phase. "together" (SGLang) has both legs under way at once; "in turn" (NIXL) asks decode
 * when prefill has answered.
 */

/** What becomes of a request when all workers of the leg have the fault. */
interface Outcome {
  readonly status: number;
  /** Undefined where the client is served. */
  readonly code?: string;
  readonly tries: number;
  readonly retryAfter?: string;
  /** What the failing leg's attempts ended with, where it is not `code`. */
  readonly legOutcome?: string;
  /** Both legs waited for each other: both attempts say so, and no breaker hears of it. */
  readonly isUnsure?: boolean;
}

const UNREACHABLE: Outcome = { status: 502, code: "upstream_connect_failed", tries: 2 };
const CLOSED: Outcome = { status: 502, code: "upstream_closed", tries: 2 };
const REJECTED: Outcome = { status: 400, code: "upstream_rejected", tries: 1 };
const FAILED: Outcome = { status: 500, code: "upstream_error", tries: 1 };
const BUSY: Outcome = { status: 503, code: "upstream_busy", tries: 2, retryAfter: "7" };
const SILENT: Outcome = { status: 504, code: "upstream_timeout", tries: 2 };
const SERVED: Outcome = { status: 200, tries: 1, legOutcome: "ok" };

type Row = readonly [
  title: string,
  fault: PdFault,
  /** Of a prefill worker, with both under way, and in turn. */
  prefill: readonly [together: Outcome, inTurn: Outcome],
  decode: readonly [together: Outcome, inTurn: Outcome],
];

const both = (outcome: Outcome): readonly [Outcome, Outcome] => [outcome, outcome];
/** The KV cache has moved, so that the client is served though prefill fails after it; its breaker hears of it. */
const LATE = { ...SERVED, legOutcome: "upstream_closed" };

const ROWS: readonly Row[] = [
  ["refuses connections", { kind: "refuse" }, both(UNREACHABLE), both(UNREACHABLE)],
  ["closes before its head", { kind: "close" }, both(CLOSED), both(CLOSED)],
  ["closes when the KV has moved", { kind: "close", at: "handoff" }, both(CLOSED), both(CLOSED)],
  ["answers 400", { kind: "status", status: 400 }, both(REJECTED), both(REJECTED)],
  ["answers 500", { kind: "status", status: 500 }, both(FAILED), both(FAILED)],
  ["answers 500 when the KV has moved", { kind: "status", status: 500, at: "handoff" }, both(FAILED), both(FAILED)],
  [
    "answers 503 and says when to come again",
    { kind: "status", status: 503, retryAfterSecs: 7 },
    both(BUSY),
    both(BUSY),
  ],
  ["sends nothing", { kind: "hang" }, [{ ...SILENT, isUnsure: true }, SILENT], [{ ...SILENT, isUnsure: true }, SILENT]],
  [
    "sends nothing when the KV has moved",
    { kind: "hang", at: "handoff" },
    [{ ...SERVED, legOutcome: "upstream_timeout" }, SILENT],
    both(SILENT),
  ],
  ["breaks in its answer, or before its first event", { kind: "die", afterEvents: 0 }, [LATE, CLOSED], both(CLOSED)],
  ["is slow", { kind: "slow", headMs: 60, eventMs: 2 }, both(SERVED), both(SERVED)],
];

const MODES: readonly (readonly [dialect: PdDialect, place: 0 | 1])[] = [
  ["sglang", 0],
  ["nixl", 1],
];

interface Setup extends AsyncDisposable {
  readonly fleet: PdFleet;
  readonly gateway: TestGateway;
}

async function setUp(dialect: PdDialect): Promise<Setup> {
  const fleet = await startPdFleet({ dialect, waitMs: 3000 });
  const gateway = await startPdGateway([[dialect, fleet]], {
    // The first fault that a breaker hears of opens it.
    config: { firstByteTimeoutSecs: 0.25, idleTimeoutSecs: 0.25, healthCheckIntervalSecs: 60, cbFailureThreshold: 1 },
  });
  return {
    fleet,
    gateway,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await fleet[Symbol.asyncDispose]();
    },
  };
}

const ofSide = (fleet: PdFleet, side: PdSide): readonly PdEngine[] =>
  side === "prefill" ? fleet.prefills : fleet.decodes;
const other = (side: PdSide): PdSide => (side === "prefill" ? "decode" : "prefill");
const isUnderWay = (engine: PdEngine): boolean =>
  engine.record.exchanges.some(({ endSequence, isAborted }) => endSequence === undefined && !isAborted);

/** How attempts at the workers of a side ended, and how often. */
async function outcomes({ fleet, gateway }: Setup, side: PdSide): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  const page = gateway.context.metrics.expose();
  for (const [, worker, outcome = "", count] of page.matchAll(
    /^pointsman_worker_attempts_total\{.*worker="([^"]*)",outcome="([^"]*)"\} (\d+)$/gm,
  )) {
    if (ofSide(fleet, side).some(({ url }) => url === worker)) found[outcome] = (found[outcome] ?? 0) + Number(count);
  }
  return found;
}

/** Breakers of a side that have opened. */
function breakers({ fleet, gateway }: Setup, side: PdSide): number {
  const { workerRegistry } = gateway.context;
  const states = ofSide(fleet, side).map(({ url }) => workerRegistry.getByUrl(url)?.breakerState);
  return states.filter((state) => state === "open").length;
}

/** Errors of the table that a breaker hears of. */
function isFault({ code, legOutcome = code, isUnsure = false }: Outcome): boolean {
  const faults = ["upstream_connect_failed", "upstream_closed", "upstream_timeout"];
  return !isUnsure && faults.includes(legOutcome ?? "");
}

async function expectNothingLeft({ fleet, gateway }: Setup): Promise<void> {
  await eventually(() => gateway.context.ledger.totals().inFlight === 0, "nothing is counted any more");
  expect(gateway.context.ledger.totals()).toEqual({ inFlight: 0, pendingPromptTokens: 0, decoding: 0 });
  expect(fleet.violations).toEqual([]);
}

async function expectOutcome(setup: Setup, side: PdSide, stream: boolean, outcome: Outcome): Promise<void> {
  const { fleet, gateway } = setup;
  const line = gateway.nextLine();
  const response = await post(`${gateway.url}${CHAT}`, { ...QUESTION, stream });
  const text = await response.text();
  const answeredAt = performance.now();
  expect([response.status, response.headers.get("retry-after")]).toEqual([outcome.status, outcome.retryAfter ?? null]);
  if (outcome.code === undefined) {
    expect(stream ? streamText(text) : answerText(JSON.parse(text))).toBe(await fleet.referenceText(CHAT, QUESTION));
  } else {
    expect(openaiError(text).code).toBe(outcome.code);
    await eventually(() => !ofSide(fleet, other(side)).some(isUnderWay), "the other leg is ended");
    expect(performance.now() - answeredAt).toBeLessThan(100);
  }
  expect(await line).toMatchObject({ attempts: outcome.tries, status: outcome.status });
  await expectNothingLeft(setup);
  const { code, tries, legOutcome = code ?? "ok", isUnsure = false } = outcome;
  expect(await outcomes(setup, side)).toEqual({ [legOutcome]: tries });
  const others = Object.keys(await outcomes(setup, other(side)));
  if (isUnsure) expect(others).toEqual([legOutcome]);
  else expect(others.every((one) => one === "ok" || one === "abandoned")).toBe(true);
}

for (const [dialect, place] of MODES) {
  for (const side of ["prefill", "decode"] as const) {
    describe(`${dialect}: a ${side} worker`, () => {
      for (const [title, fault, prefill, decode] of ROWS) {
        const outcome = (side === "prefill" ? prefill : decode)[place];
        for (const stream of [false, true]) {
          test(`that ${title}, ${stream ? "streamed" : "whole"}`, async () => {
            await using setup = await setUp(dialect);
            for (const engine of ofSide(setup.fleet, side)) await engine.setFault(fault);
            await expectOutcome(setup, side, stream, outcome);
            expect(breakers(setup, side)).toBe(isFault(outcome) ? outcome.tries : 0);
            expect(breakers(setup, other(side))).toBe(0);
          });
        }
        if (outcome.tries < 2) continue;
        test(`that ${title} is made up for by another one`, async () => {
          await using setup = await setUp(dialect);
          const { fleet, gateway } = setup;
          await ofSide(fleet, side)[0]?.setFault(fault);
          const text = await fleet.referenceText(CHAT, QUESTION);
          // In turn by the policy, so that the faulty one is among the first two.
          const lines = [gateway.nextLine(), gateway.nextLine()];
          for (let count = 0; count < 2; count += 1) {
            const response = await post(`${gateway.url}${CHAT}`, QUESTION);
            expect([response.status, answerText(await response.json())]).toEqual([200, text]);
          }
          const attempts = (await Promise.all(lines)).map((line) => line["attempts"]);
          expect(Math.max(...attempts.map(Number))).toBe(2);
          const seconds = attempts.filter((count) => count === 2).length;
          expect(await metricOf(gateway, "pointsman_retries_total")).toBe(seconds);
          await expectNothingLeft(setup);
        });
      }
    });
  }
}
