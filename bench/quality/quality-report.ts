import { spreadOf } from "../../src/simulate/driver-summary.ts";
import type { Run } from "./compare-on.ts";
import { QUALITY_LOADS } from "./quality-loads.ts";

/** The gateway and policy that the bounds are about. */
const JUDGED = "least_ttft";

interface Row {
  readonly target: string;
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
    const peers = rows.filter(({ isPeer }) => isPeer);
    const bound = QUALITY_LOADS.find((load) => load.name === name)?.bound;
    if (!own || peers.length === 0 || bound === undefined) return [];
    const best = peers.reduce((a, b) => (a.mean <= b.mean ? a : b));
    const p99 = own.p99 / Math.min(...peers.map((peer) => peer.p99));
    const ratio = own.mean / best.mean;
    const isMet = ratio <= bound && p99 <= 1 && own.failures === 0;
    return [
      `| ${name} | ${best.target} | ${ratio.toFixed(2)} | ${bound} | ${p99.toFixed(2)} | ${own.failures} | ${isMet ? "yes" : "**no**"} |`,
    ];
  });
  return [
    "| load | best other | mean, of its | bound | p99, of the best | failed | met |",
    "|---|---|---|---|---|---|---|",
    ...lines,
  ].join("\n");
}
