import { spreadOf } from "../../src/simulate/driver-summary.ts";
import type { Run } from "./compare-on.ts";
import { QUALITY_LOADS } from "./quality-loads.ts";
import { type RatioInterval, ratioInterval } from "./ratio-interval.ts";

/** The gateway and policy that the bounds are about. */
const JUDGED = "least_ttft";

interface Row {
  readonly target: string;
  readonly runs: readonly Run[];
  readonly isPeer: boolean;
  readonly requests: number;
  readonly failures: number;
  /** Means over the seeds, ms. */
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
}

/** Tables in Markdown: for each load what clients saw behind each gateway, and then the bounds. */
export function qualityReport(runs: readonly Run[]): string {
  const names = [...new Set(runs.map(({ load }) => load))];
  const loads = names.map((name) => ({ name, rows: rowsOf(runs.filter(({ load }) => load === name)) }));
  return [...loads.map(({ name, rows }) => tableOf(name, rows)), boundsOf(loads)].join("\n\n");
}

function rowsOf(runs: readonly Run[]): Row[] {
  return [...new Set(runs.map(({ target }) => target))].map((target) => {
    const own = runs.filter((run) => run.target === target);
    const spreads = own.map(({ ttftMs }) => spreadOf(ttftMs));
    const meanOf = (value: (spread: ReturnType<typeof spreadOf>) => number): number =>
      spreads.reduce((sum, spread) => sum + value(spread), 0) / spreads.length;
    return {
      target,
      runs: own,
      isPeer: own.some(({ isPeer }) => isPeer),
      requests: own.reduce((sum, { ttftMs }) => sum + ttftMs.length, 0),
      failures: own.reduce((sum, { failures }) => sum + failures, 0),
      mean: meanOf(({ mean }) => mean),
      p50: meanOf(({ p50 }) => p50),
      p99: meanOf(({ p99 }) => p99),
    };
  });
}

function tableOf(name: string, rows: readonly Row[]): string {
  return [
    `**${name}**, TTFT in ms`,
    "",
    "| | requests | failed | mean | p50 | p99 |",
    "|---|---|---|---|---|---|",
    ...rows.map(
      ({ target, requests, failures, mean, p50, p99 }) =>
        `| ${target} | ${requests} | ${failures} | ${mean.toFixed(0)} | ${p50.toFixed(0)} | ${p99.toFixed(0)} |`,
    ),
  ].join("\n");
}

function boundsOf(loads: readonly { readonly name: string; readonly rows: readonly Row[] }[]): string {
  const lines = loads.flatMap(({ name, rows }) => {
    const own = rows.find(({ target }) => target === JUDGED);
    const bound = QUALITY_LOADS.find((load) => load.name === name)?.bound;
    return own && bound !== undefined ? lineOf(name, bound, own, rows) : [];
  });
  return [
    "| load | best other | mean, of its | bound | p99, of the best | requests from p99 on | failed | met |",
    "|---|---|---|---|---|---|---|---|",
    ...lines,
    "",
    "In brackets: the interval in which the ratio is with a chance of 95 %, from the sessions drawn anew. A bound is met or missed for certain where the interval is on one side of it.",
  ].join("\n");
}

function lineOf(name: string, bound: number, own: Row, rows: readonly Row[]): string[] {
  const peers = rows.filter(({ isPeer }) => isPeer);
  if (peers.length === 0) return [];
  const bestBy = (value: "mean" | "p99"): Row => peers.reduce((a, b) => (a[value] <= b[value] ? a : b));
  const best = bestBy("mean");
  const mean = ratioInterval(own.runs, best.runs, (times) => spreadOf(times).mean);
  const p99 = ratioInterval(own.runs, bestBy("p99").runs, (times) => spreadOf(times).p99);
  const slow = own.runs.reduce((sum, { ttftMs }) => sum + ttftMs.length - Math.floor(0.99 * ttftMs.length), 0);
  const met = own.failures > 0 ? "**no**" : metOf([mean, bound], [p99, 1]);
  return [
    `| ${name} | ${best.target} | ${textOf(mean)} | ${bound} | ${textOf(p99)} | ${slow} | ${own.failures} | ${met} |`,
  ];
}

function textOf({ ratio, least, most }: RatioInterval): string {
  return `${ratio.toFixed(2)} (${least.toFixed(2)} to ${most.toFixed(2)})`;
}

function metOf(...bounds: readonly (readonly [RatioInterval, number])[]): string {
  if (bounds.some(([{ least }, bound]) => least > bound)) return "**no**";
  if (bounds.every(([{ most }, bound]) => most <= bound)) return "yes";
  return bounds.every(([{ ratio }, bound]) => ratio <= bound) ? "yes, not for certain" : "no, not for certain";
}
