import type { RunResult } from "./driver.ts";
import { summarize, type Summary } from "./driver-summary.ts";
import { quantiles } from "./statistics.ts";

/** Steps of the distribution of TTFT that an outcome keeps: each is half a percent. */
const TTFT_STEPS = 200;
/** Spans of time over which the load of each worker is averaged. */
const SPANS = 60;

/** What one run came to, as plain data that threads can send each other. */
export interface Outcome {
  readonly load: string;
  readonly policy: string;
  readonly seed: number;
  /** Time in which requests arrived, s. */
  readonly durationSecs: number;
  /** Time at its beginning whose requests do not count, s. */
  readonly warmupSecs: number;
  /** Requests as a multiple of the load's own rate. */
  readonly rate: number;
  readonly summary: Summary;
  /** TTFT of the requests that count, ms, at equal steps from the least to the largest. */
  readonly ttftMs: readonly number[];
  /** For each worker its mean number of requests in flight in each of 60 equal spans of the run. */
  readonly inFlight: readonly (readonly number[])[];
  /** Time that the run took on this machine, ms. */
  readonly tookMs: number;
}

/** Reads out of a run what reports and charts show. */
export function outcomeOf(result: RunResult, rate: number, tookMs: number): Outcome {
  const { load, policy, seed, records } = result;
  const ttftMs: number[] = [];
  for (let row = 0; row < records.length; row += 1) {
    const ttft = records.ttftMs[row] ?? Number.NaN;
    if ((records.arrivedAt[row] ?? 0) >= load.warmupMs && !Number.isNaN(ttft)) ttftMs.push(ttft);
  }
  return {
    load: load.name,
    policy,
    seed,
    durationSecs: load.durationMs / 1000,
    warmupSecs: load.warmupMs / 1000,
    rate,
    summary: summarize(result),
    ttftMs: quantiles(ttftMs, TTFT_STEPS),
    inFlight: inFlightOf(result),
    tookMs,
  };
}

/** The mean of requests in flight is the time that all of them spent there, divided by the length of the span. */
function inFlightOf({ load, records }: RunResult): number[][] {
  const spanMs = load.durationMs / SPANS;
  const perWorker = load.workers.map(() => Array.from({ length: SPANS }, () => 0));
  for (let row = 0; row < records.length; row += 1) {
    const spans = perWorker[records.worker[row] ?? -1];
    const from = records.arrivedAt[row] ?? 0;
    const until = from + (records.totalMs[row] ?? 0);
    if (!spans || Number.isNaN(until)) continue;
    for (let span = Math.floor(from / spanMs); span < SPANS && span * spanMs < until; span += 1) {
      const spent = Math.min(until, (span + 1) * spanMs) - Math.max(from, span * spanMs);
      spans[span] = (spans[span] ?? 0) + spent / spanMs;
    }
  }
  return perWorker;
}
