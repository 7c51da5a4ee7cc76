import { type Group, overall } from "../study.ts";
import { fastestFirst, figuresOf, headline, headsOf } from "./columns.ts";
import { short } from "./numbers.ts";
import { textTable } from "./text-table.ts";

/**
 * The report of a study for a terminal: a table for each load and rate, and one over all of them. `width`: columns of the terminal, for which
 * less important figures are left out; undefined for all figures.
 */
export function textReport(groups: readonly Group[], baseline: string, width?: number): string {
  const tables = groups.map((group) => groupReport(group, baseline, width));
  return [...tables, ...(groups.length > 1 ? [overallReport(groups, baseline)] : [])].join("\n");
}

function groupReport(group: Group, baseline: string, width = Number.POSITIVE_INFINITY): string {
  const columns = [{ head: "policy", leftOut: undefined, align: "left" } as const, ...headsOf(baseline).map(toRight)];
  const rows = fastestFirst(group).map((cell) => [cell.policy, ...figuresOf(cell, group, baseline)]);
  const tableOf = (left: readonly number[]): string =>
    textTable(
      left.flatMap((at) => columns[at] ?? []),
      rows.map((row) => left.map((at) => row[at] ?? "")),
    );
  const droppable = columns
    .flatMap(({ leftOut }, at) => (leftOut === undefined ? [] : [{ at, leftOut }]))
    .sort((a, b) => a.leftOut - b.leftOut);
  let left = [...columns.keys()];
  let table = tableOf(left);
  for (const { at } of droppable) {
    if (table.indexOf("\n") < width) break;
    left = left.filter((one) => one !== at);
    table = tableOf(left);
  }
  return `${headline(group)}\n\n${table}${left.length < columns.length ? LEFT_OUT : ""}`;
}

const LEFT_OUT = "(the terminal is narrow: --json and --plot have all figures)\n";

function toRight({ head, leftOut }: ReturnType<typeof headsOf>[number]) {
  return { head, leftOut, align: "right" } as const;
}

function overallReport(groups: readonly Group[], baseline: string): string {
  const rows = overall(groups, baseline).map(({ policy, mean, worst }) => [policy, short(mean), short(worst)]);
  const columns = [
    { head: "policy", align: "left" },
    { head: "geometric mean", align: "right" },
    { head: "worst", align: "right" },
  ] as const;
  return rows.length === 0 ? "" : `all loads: mean TTFT / that of ${baseline}\n\n${textTable(columns, rows)}`;
}

/** What the columns mean, for below the tables. */
export const LEGEND = `\
TTFT: time to the first token, with all attempts, of the requests that were answered. TPOT: mean time between tokens of one answer.
goodput: share of all requests that kept both bounds of the SLO. hit rate: share of prompt tokens that were cached. hotspot: the busiest
worker's share of the requests, times the number of workers (with --pd in the role where it is larger). us/choice: median time of a
choice on this machine, without the hashing of the prompt; short runs are slower, as they warm up. ±: half of the 95 % confidence
interval over seeds.
`;
