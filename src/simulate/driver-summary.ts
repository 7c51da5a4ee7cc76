import type { RunResult } from "./driver.ts";
import { ANSWERED, type Records } from "./driver-records.ts";

/** Mean and percentiles of some numbers; NaN where there are none. */
export interface Spread {
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

/** What a run says about its policy. Only requests that arrived after the warm-up count. Times in ms unless said. */
export interface Summary {
  readonly requests: number;
  /** Requests that no worker answered. They have no times, and are not good. */
  readonly failed: number;
  /** Attempts after the first ones. */
  readonly retries: number;
  readonly preemptions: number;
  readonly ttft: Spread;
  /** Mean time between the tokens of one answer, over answers of two tokens and more. */
  readonly tpot: Spread;
  /** Mean TTFT on an idle engine that has in its cache whatever any engine ever had: no policy can be below. */
  readonly boundMs: number;
  /** Share of the requests that kept both bounds of the load's SLO, 0 to 1. */
  readonly goodput: number;
  /** Share of prompt tokens that were cached, 0 to 1, and what one endless cache for all would have. */
  readonly hitRate: number;
  readonly idealHitRate: number;
  /** Share of the answers that the worker with the most gave, 0 to 1. */
  readonly maxShare: number;
  /**
   * The busiest worker's share of the requests, times the number of workers: 1 where all get the same. Where prefill and decode are apart,
   * that of the role where it is larger.
   */
  readonly hotspot: number;
  /** Time of a decision on this machine, without the hashing of the prompt, us. */
  readonly decisionUs: Spread;
  /** Mean distance between the time from the send to the first token that the policy expected and the one that came; NaN where it expects none. */
  readonly predictionErrorMs: number;
}

/** Sums a run up. */
export function summarize({ load, records, preemptions }: RunResult): Summary {
  const rows: number[] = [];
  for (let row = 0; row < records.length; row += 1) if ((records.arrivedAt[row] ?? 0) >= load.warmupMs) rows.push(row);
  const answered = rows.filter((row) => records.outcome[row] === ANSWERED);
  const { ttftMs, tpotMs } = load.slo;
  const isGood = (row: number): boolean => (records.ttftMs[row] ?? 0) <= ttftMs && records.tpotMs(row) <= tpotMs;
  const promptTokens = sum(answered, records.promptTokens);
  const workers = load.workers.map((_, worker) => worker);
  const roleOf = (worker: number): string => load.workers[worker]?.role ?? "regular";
  const prefillers = workers.filter((worker) => roleOf(worker) === "prefill");
  const answerers = workers.filter((worker) => roleOf(worker) !== "prefill");
  const maxShare = largestShare(answered, records.worker, answerers);
  const expected = answered.filter((row) => !Number.isNaN(records.predictionErrorMs[row] ?? Number.NaN));
  return {
    requests: rows.length,
    failed: rows.length - answered.length,
    retries: sum(rows, records.retries),
    preemptions,
    ttft: spreadOf(answered.map((row) => records.ttftMs[row] ?? 0)),
    tpot: spreadOf(answered.filter((row) => (records.outputTokens[row] ?? 0) > 1).map((row) => records.tpotMs(row))),
    boundMs: sum(answered, records.boundMs) / answered.length,
    goodput: answered.filter(isGood).length / rows.length,
    hitRate: sum(answered, records.cachedTokens) / promptTokens,
    idealHitRate: sum(answered, records.idealTokens) / promptTokens,
    maxShare,
    hotspot: Math.max(
      maxShare * answerers.length,
      largestShare(answered, records.prefillWorker, prefillers) * prefillers.length,
    ),
    decisionUs: spreadOf(rows.map((row) => records.decisionUs[row] ?? 0)),
    predictionErrorMs: sum(expected, records.predictionErrorMs) / expected.length,
  };
}

function sum(rows: readonly number[], column: Float64Array | Int32Array): number {
  return rows.reduce((total, row) => total + (column[row] ?? 0), 0);
}

/** Of the requests that these workers got, the share of the one that got most: 0 where they got none, NaN where there is no request. */
function largestShare(rows: readonly number[], worker: Records["worker"], among: readonly number[]): number {
  const counts = new Map(among.map((one) => [one, 0]));
  let all = 0;
  for (const row of rows) {
    const count = counts.get(worker[row] ?? -1);
    if (count === undefined) continue;
    counts.set(worker[row] ?? -1, count + 1);
    all += 1;
  }
  if (rows.length === 0) return Number.NaN;
  return all === 0 ? 0 : Math.max(...counts.values()) / all;
}

/** Mean and percentiles; the numbers need no order. */
export function spreadOf(numbers: readonly number[]): Spread {
  const sorted = Float64Array.from(numbers).sort();
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  const mean = numbers.reduce((total, one) => total + one, 0) / numbers.length;
  return { mean, p50: at(0.5), p90: at(0.9), p99: at(0.99) };
}
