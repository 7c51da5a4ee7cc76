import type { Job } from "../job.ts";
import { type Cell, figure, type Group, overall, ratioTo } from "../study.ts";
import type { Estimate } from "../statistics.ts";

/** What a report says of itself. */
export interface ReportFacts {
  readonly version: string;
  readonly baseline: string;
  readonly jobs: readonly Job[];
}

/** All figures of a study as JSON: times in ms, shares from 0 to 1, `half` half of the 95 % confidence interval over seeds (null for one seed). */
export function jsonReport(groups: readonly Group[], { version, baseline, jobs }: ReportFacts): string {
  const {
    load: _load,
    isTrace: _isTrace,
    policy: _policy,
    seed: _seed,
    rate: _rate,
    durationSecs: _secs,
    ...situation
  } = jobs[0] ?? {};
  const report = {
    version,
    baseline,
    situation,
    groups: groups.map((group) => ({
      load: group.load,
      rate: group.rate,
      duration_secs: group.cells[0]?.outcomes[0]?.durationSecs,
      policies: group.cells.map((cell) => cellReport(cell, group, baseline)),
    })),
    overall: overall(groups, baseline),
  };
  return `${JSON.stringify(report, undefined, 2)}\n`;
}

function cellReport(cell: Cell, group: Group, baseline: string): object {
  return {
    policy: cell.policy,
    ttft_mean_ms: rounded(figure(cell, ({ summary }) => summary.ttft.mean)),
    ratio: rounded(ratioTo(baseline, cell, group)),
    seeds: cell.outcomes.map(({ seed, summary, ttftMs, tookMs }) => ({
      seed,
      took_ms: Math.round(tookMs),
      ...summary,
      ttft_distribution_ms: ttftMs.map((ms) => Math.round(ms * 10) / 10),
    })),
  };
}

function rounded(estimate: Estimate | undefined): Estimate | undefined {
  return estimate && { mean: digits(estimate.mean), half: digits(estimate.half) };
}

function digits(value: number): number {
  return Number(value.toPrecision(5));
}
