import type { Job } from "../job.ts";
import type { Summary } from "../driver-summary.ts";
import { type Cell, figure, type Group, overall, ratioTo } from "../study.ts";
import type { Estimate } from "../statistics.ts";
import { snakeCase } from "../../util/case.ts";

/** What a report says of itself. */
export interface ReportFacts {
  readonly version: string;
  readonly baseline: string;
  readonly jobs: readonly Job[];
}

/** Which members the report has. A new member leaves it as it is; a member that goes or changes makes it the next one. */
const FORMAT_VERSION = 1;

/**
 * All figures of a study as JSON (docs/routing.md has its members): times in ms, shares from 0 to 1, `half` half of the 95 % confidence
 * interval over seeds. What there is none of is null.
 */
export function jsonReport(groups: readonly Group[], { version, baseline, jobs }: ReportFacts): string {
  const report = {
    format: "pointsman-simulation",
    format_version: FORMAT_VERSION,
    version,
    baseline,
    situation: situationOf(jobs),
    groups: groups.map((group) => {
      const { durationSecs, warmupSecs } = group.cells[0]?.outcomes[0] ?? {};
      return {
        load: group.load,
        rate: group.rate,
        duration_secs: durationSecs,
        warmup_secs: warmupSecs,
        policies: group.cells.map((cell) => cellReport(cell, group, baseline)),
      };
    }),
    overall: overall(groups, baseline),
  };
  return `${JSON.stringify(report, undefined, 2)}\n`;
}

/** What all runs share. */
function situationOf([job]: readonly Job[]): unknown {
  if (!job) return {};
  const {
    load: _load,
    isTrace: _isTrace,
    policy: _policy,
    seed: _seed,
    rate: _rate,
    durationSecs: _secs,
    ...same
  } = job;
  const { isStream: stream, isClosedLoop: closedLoop, ...others } = same;
  return withSnakeCase({ ...others, stream, closedLoop });
}

function cellReport(cell: Cell, group: Group, baseline: string): object {
  return {
    policy: cell.policy,
    ttft_mean_ms: rounded(figure(cell, ({ summary }) => summary.ttft.mean)),
    ratio: rounded(ratioTo(baseline, cell, group)),
    seeds: cell.outcomes.map(({ seed, summary, ttftMs, tookMs }) => ({
      seed,
      took_ms: Math.round(tookMs),
      ...figuresOf(summary),
      ttft_distribution_ms: ttftMs.map((ms) => Math.round(ms * 10) / 10),
    })),
  };
}

function figuresOf({ ttft, tpot, ...others }: Summary): object {
  return { ttft_ms: ttft, tpot_ms: tpot, ...Object.fromEntries(membersOf(others)) };
}

function withSnakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withSnakeCase);
  return typeof value === "object" && value !== null ? Object.fromEntries(membersOf(value)) : value;
}

/** The members of a plain object with names as JSON has them. What is not known is null, so that each report has all members. */
function membersOf(record: object): [name: string, value: unknown][] {
  return Object.entries(record).map(([name, value]) => [snakeCase(name), withSnakeCase(value ?? null)]);
}

function rounded(estimate: Estimate | undefined): Estimate | null {
  return estimate ? { mean: digits(estimate.mean), half: digits(estimate.half) } : null;
}

function digits(value: number): number {
  return Number(value.toPrecision(5));
}
