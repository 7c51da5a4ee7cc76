import type { Outcome } from "../outcome.ts";
import { type Cell, figure, type Group, ratioTo } from "../study.ts";
import { count, percent, short, shortName, withHalf } from "./numbers.ts";

/** One figure of the tables. */
interface FigureColumn {
  /** Its head, and what it means. */
  readonly head: string;
  readonly means: string;
  readonly of: (cell: Cell) => string;
  /** Where there is no room for all columns: the one with the least number is left out first; those without one stay. */
  readonly leftOut?: number;
}

/** Mean of a figure over the seeds. */
function mean(of: (outcome: Outcome) => number, write = short): (cell: Cell) => string {
  return (cell) => write(figure(cell, of).mean);
}

const FIGURES: readonly FigureColumn[] = [
  {
    head: "TTFT mean ms",
    means: "time to the first token, with all attempts, of the requests that were answered",
    of: (cell) => withHalf(figure(cell, ({ summary }) => summary.ttft.mean)),
  },
  { head: "p50", means: "half of the requests are faster", of: mean(({ summary }) => summary.ttft.p50), leftOut: 3 },
  { head: "p90", means: "nine of ten requests are faster", of: mean(({ summary }) => summary.ttft.p90), leftOut: 6 },
  { head: "p99", means: "99 of 100 requests are faster", of: mean(({ summary }) => summary.ttft.p99) },
  {
    head: "TPOT p50 ms",
    means: "mean time between the tokens of one answer",
    of: mean(({ summary }) => summary.tpot.p50),
    leftOut: 5,
  },
  { head: "p90", means: "nine of ten answers are faster", of: mean(({ summary }) => summary.tpot.p90), leftOut: 2 },
  {
    head: "goodput",
    means: "share of all requests that kept both bounds of the SLO",
    of: mean(({ summary }) => summary.goodput, percent),
  },
  {
    head: "hit rate",
    means: "share of the prompt tokens that were cached",
    of: mean(({ summary }) => summary.hitRate, percent),
  },
  {
    head: "hotspot",
    means:
      "the busiest worker's share of the requests, times the number of workers; with --pd in the role where it is larger",
    of: mean(({ summary }) => summary.hotspot),
    leftOut: 4,
  },
  { head: "failed", means: "requests that no worker answered", of: mean(({ summary }) => summary.failed, count) },
  {
    head: "us/choice",
    means: "median time of a choice on this machine, without the hashing of the prompt",
    of: mean(({ summary }) => summary.decisionUs.p50),
    leftOut: 1,
  },
];

/** Heads of the tables after the policy's name, with what each means. */
export function headsOf(baseline: string): Pick<FigureColumn, "head" | "means" | "leftOut">[] {
  const ratio = {
    head: `/ ${shortName(baseline, 20)}`,
    means: `mean TTFT divided by that of ${baseline} with the same seed`,
  };
  return [...FIGURES, ratio];
}

/** The figures of a policy, in the order of the heads. */
export function figuresOf(cell: Cell, group: Group, baseline: string): string[] {
  const ratio = ratioTo(baseline, cell, group);
  return [...FIGURES.map(({ of }) => of(cell)), ratio ? withHalf(ratio) : "-"];
}

/** The policies of a group, the one with the least mean TTFT first. */
export function fastestFirst({ cells }: Group): Cell[] {
  const ttft = (cell: Cell): number => figure(cell, ({ summary }) => summary.ttft.mean).mean;
  return cells.toSorted((a, b) => ttft(a) - ttft(b));
}

/** A sentence over a group's table. */
export function headline(group: Group): string {
  const outcomes = group.cells[0]?.outcomes ?? [];
  const [first] = outcomes;
  const requests = Math.round(outcomes.reduce((sum, { summary }) => sum + summary.requests, 0) / outcomes.length);
  const rate = group.rate === 1 ? "" : ` at ${group.rate} times its rate`;
  const { boundMs = Number.NaN, idealHitRate = Number.NaN } = first?.summary ?? {};
  const secs = (first?.durationSecs ?? Number.NaN) - (first?.warmupSecs ?? 0);
  const bound = Number.isNaN(boundMs)
    ? "none was answered"
    : `no policy can be below ${short(boundMs)} ms (idle engines, one endless cache: hit rate ${percent(idealHitRate)})`;
  const [plural, plurals] = [requests === 1 ? "" : "s", outcomes.length === 1 ? "" : "s"];
  return `${group.load}${rate}: ${requests} request${plural} in ${short(secs)} s a seed, ${outcomes.length} seed${plurals}; ${bound}`;
}
