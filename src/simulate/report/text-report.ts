import { type Cell, figure, type Group, overall, ratioTo } from "../study.ts";
import { percent, short, time, withHalf } from "./numbers.ts";
import { type Column, textTable } from "./text-table.ts";

/** The report of a study for a terminal: a table for each load and rate, and one over all of them. */
export function textReport(groups: readonly Group[], baseline: string): string {
  const tables = groups.map((group) => groupReport(group, baseline));
  return [...tables, ...(groups.length > 1 ? [overallReport(groups, baseline)] : [])].join("\n");
}

function groupReport(group: Group, baseline: string): string {
  const first = group.cells[0]?.outcomes[0]?.summary;
  const seeds = group.cells[0]?.outcomes.length ?? 0;
  const head =
    `${group.load}${group.rate === 1 ? "" : ` at ${group.rate} times its rate`}: ${first?.requests ?? 0} requests a seed, ${seeds} ${seeds === 1 ? "seed" : "seeds"}; ` +
    `no policy can be below ${time(first?.boundMs ?? Number.NaN)} (idle engines, one endless cache: hit rate ${percent(first?.idealHitRate ?? Number.NaN)})`;
  const sorted = group.cells.toSorted((a, b) => meanTtft(a) - meanTtft(b));
  return `${head}\n\n${textTable(
    columnsOf(baseline),
    sorted.map((cell) => rowOf(cell, group, baseline)),
  )}`;
}

function meanTtft(cell: Cell): number {
  return figure(cell, ({ summary }) => summary.ttft.mean).mean;
}

function columnsOf(baseline: string): readonly Column[] {
  const numbers = [
    "TTFT mean ms",
    "p50",
    "p90",
    "p99",
    "TPOT p50 ms",
    "p90",
    "goodput",
    "hit rate",
    "hotspot",
    "failed",
    "us/choice",
    `/ ${baseline}`,
  ];
  return [{ head: "policy", align: "left" }, ...numbers.map((head) => ({ head, align: "right" }) as const)];
}

function rowOf(cell: Cell, group: Group, baseline: string): string[] {
  const mean = (of: Parameters<typeof figure>[1]): number => figure(cell, of).mean;
  const ratio = ratioTo(baseline, cell, group);
  return [
    cell.policy,
    withHalf(figure(cell, ({ summary }) => summary.ttft.mean)),
    short(mean(({ summary }) => summary.ttft.p50)),
    short(mean(({ summary }) => summary.ttft.p90)),
    short(mean(({ summary }) => summary.ttft.p99)),
    short(mean(({ summary }) => summary.tpot.p50)),
    short(mean(({ summary }) => summary.tpot.p90)),
    percent(mean(({ summary }) => summary.goodput)),
    percent(mean(({ summary }) => summary.hitRate)),
    short(mean(({ summary }) => summary.hotspot)),
    short(mean(({ summary }) => summary.failed)),
    short(mean(({ summary }) => summary.decisionUs.p50)),
    ratio ? withHalf(ratio) : "-",
  ];
}

function overallReport(groups: readonly Group[], baseline: string): string {
  const rows = overall(groups, baseline).map(({ policy, mean, worst }) => [policy, short(mean), short(worst)]);
  const head = `all loads: mean TTFT / that of ${baseline}`;
  const columns = [
    { head: "policy", align: "left" },
    { head: "geometric mean", align: "right" },
    { head: "worst", align: "right" },
  ] as const;
  return rows.length === 0 ? "" : `${head}\n\n${textTable(columns, rows)}`;
}

/** What the columns mean, for below the tables. */
export const LEGEND = `\
TTFT: time to the first token, with all attempts. TPOT: mean time between tokens of one answer. goodput: share of the requests that kept
both bounds of the SLO. hit rate: share of prompt tokens that were cached. hotspot: the busiest worker's share of the requests, times the
number of workers. us/choice: median time of a choice on this machine. ±: half of the 95 % confidence interval over seeds.
`;
