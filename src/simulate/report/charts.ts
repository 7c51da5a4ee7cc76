import type { Outcome } from "../outcome.ts";
import { type Cell, figure, type Group, ratioTo } from "../study.ts";
import { fastestFirst } from "./columns.ts";
import { heatMap } from "./heat-map.ts";
import { lineChart, type Series } from "./line-chart.ts";
import { percent } from "./numbers.ts";
import { policyLabels } from "./policy-labels.ts";
import { rangeChart } from "./range-chart.ts";
import { linearScale, logScale, type Scale } from "./scale.ts";
import type { SeriesStyles } from "./svg.ts";

/** Policies whose load over time is drawn. */
const MAX_MAPS = 12;
/** Characters that fit over a map. */
const MAP_TITLE_CHARS = 30;
/** The axis of times ends at this many times the last time of the best policy. */
const MAX_SPREAD = 12;
/** Ratios beyond this are drawn at the end of the axis. */
const MAX_RATIO = 10;

/** The distribution of TTFT by policy: which share of the requests had their first token within which time. */
export function ttftChart(group: Group, styles: SeriesStyles): string {
  const series = group.cells.map((cell): Series => ({ policy: cell.policy, points: distribution(cell) }));
  const least = Math.max(1, Math.min(...series.map(({ points }) => points[1]?.x ?? 1)));
  const last = series.map(({ points }) => points.at(-2)?.x ?? 1);
  // One policy that is far behind must not press all others together: its line leaves the picture.
  const most = Math.min(Math.max(...last), Math.min(...last) * MAX_SPREAD);
  return lineChart(
    {
      title: `${titleOf(group)}: time to first token`,
      describes: "Share of the requests with their first token within a time, for each policy; further left is better.",
      x: logScale(least, Math.max(least * 2, most)),
      y: linearScale(0, 1),
      xLabel: "time to first token",
      yLabel: "share of requests",
      xText: timeText,
      yText: (share) => `${Math.round(share * 100)} %`,
      series,
      hasMarks: false,
    },
    styles,
  );
}

/** The mean over the seeds of each step of the distribution. */
function distribution({ outcomes }: Cell): { x: number; y: number }[] {
  const steps = (outcomes[0]?.ttftMs.length ?? 1) - 1;
  return Array.from({ length: steps + 1 }, (_, step) => {
    const known = outcomes.flatMap(({ ttftMs }) => ttftMs[step] ?? []);
    return { x: known.reduce((sum, one) => sum + one, 0) / known.length, y: step / steps };
  });
}

/** Goodput by rate; undefined where the load was run at one rate only. */
export function goodputChart(groups: readonly Group[], styles: SeriesStyles): string | undefined {
  const [first] = groups;
  if (!first || groups.length < 2) return undefined;
  const sorted = groups.toSorted((a, b) => a.rate - b.rate);
  const series = first.cells.map(({ policy }): Series => {
    const points = sorted.flatMap((group) => {
      const cell = group.cells.find((one) => one.policy === policy);
      if (!cell) return [];
      const { mean, half } = figure(cell, ({ summary }) => summary.goodput);
      return [{ x: group.rate, y: mean, half: Number.isFinite(half) ? half : 0 }];
    });
    return { policy, points };
  });
  return lineChart(
    {
      title: `${first.load}: goodput by rate`,
      describes: "Share of the requests that kept the SLO, by the rate of requests, for each policy; higher is better.",
      x: padded(sorted.map(({ rate }) => rate)),
      y: linearScale(0, 1),
      xLabel: "rate, as a multiple of the load's own",
      yLabel: "goodput",
      xText: String,
      yText: (share) => percent(share).replace(".0", ""),
      series,
      hasMarks: true,
    },
    styles,
  );
}

/** Mean TTFT as a ratio to the baseline's; undefined where the baseline was not run. */
export function ratioChart(group: Group, baseline: string, styles: SeriesStyles): string | undefined {
  const rows = fastestFirst(group).flatMap((cell) => {
    const value = ratioTo(baseline, cell, group);
    return value ? [{ policy: cell.policy, value }] : [];
  });
  if (rows.length < 2) return undefined;
  const xLabel = `mean TTFT divided by that of ${baseline}, with 95 % confidence; further left is better`;
  return rangeChart({ title: `${titleOf(group)}: mean time to first token`, xLabel, rows, most: MAX_RATIO }, styles);
}

/** Requests in flight at each worker over time, one map for each policy, all with the same colors; of the first seed. */
export function loadMaps(group: Group): string[] {
  const cells = fastestFirst(group).slice(0, MAX_MAPS);
  const first = cells.flatMap(({ outcomes }): Outcome[] => outcomes.slice(0, 1));
  const all = first.flatMap(({ inFlight }) => inFlight.flat()).sort((a, b) => a - b);
  // Few spans of a bad policy must not make all others white.
  const most = Math.max(1, all[Math.floor(all.length * 0.98)] ?? 1);
  const labels = policyLabels(
    first.map(({ policy }) => policy),
    MAP_TITLE_CHARS,
  );
  return first.map(({ policy, inFlight, durationSecs }) =>
    heatMap({ title: policy, label: labels.get(policy) ?? policy, inFlight, most, secs: durationSecs }),
  );
}

/** An axis with a little room beside the first and the last value, and a mark at each. */
function padded(ascending: readonly number[]): Scale {
  const [least = 0, most = 1] = [ascending[0], ascending.at(-1)];
  const room = (most - least) * 0.06;
  return { ...linearScale(least - room, most + room), ticks: ascending };
}

function titleOf({ load, rate }: Group): string {
  return rate === 1 ? load : `${load} at ${rate} times its rate`;
}

function timeText(ms: number): string {
  return ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`;
}
