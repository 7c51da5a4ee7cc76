import type { Estimate } from "../statistics.ts";
import { withHalf } from "./numbers.ts";
import { policyLabels } from "./policy-labels.ts";
import { logScale } from "./scale.ts";
import { escaped, label, place, type SeriesStyles } from "./svg.ts";

/** A chart with one line for each policy: a dot for its figure, and a bar for its confidence. */
export interface RangeChart {
  readonly title: string;
  readonly xLabel: string;
  readonly rows: readonly { readonly policy: string; readonly value: Estimate }[];
  /** Figures beyond this are drawn at the end; their numbers are told. */
  readonly most: number;
}

const WIDTH = 640;
const LEFT = 200;
/** Characters of a name that fit there. */
const NAME_CHARS = 25;
const RIGHT = 110;
const TOP = 34;
const ROW = 24;

/** Draws the chart; the axis has equal distances for equal ratios. */
export function rangeChart({ title, xLabel, rows, most }: RangeChart, styles: SeriesStyles): string {
  const means = rows.map(({ value }) => value.mean);
  const x = logScale(Math.min(0.9, ...means), Math.min(most, Math.max(1.2, ...means)) * 1.02);
  const at = (value: number): number => LEFT + x.at(value) * (WIDTH - LEFT - RIGHT);
  const bottom = TOP + rows.length * ROW;
  const labels = policyLabels(
    rows.map(({ policy }) => policy),
    NAME_CHARS,
  );
  const parts = [
    label(0, 20, title, 'class="title"'),
    ...x.ticks.map(
      (tick) =>
        `<path class="${tick === 1 ? "axis" : "grid"}" d="M${place(at(tick))} ${TOP}V${bottom}"/>${label(at(tick), bottom + 18, String(tick), 'class="soft" text-anchor="middle"')}`,
    ),
    ...rows.map(({ policy, value }, row) => {
      const y = TOP + (row + 0.5) * ROW;
      const style = styles.of(policy);
      const { mean, half } = value;
      const spread =
        half > 0 ? `<path class="spread ${style}" d="M${place(at(mean - half))} ${y}H${place(at(mean + half))}"/>` : "";
      const dot = `<circle class="dot ${style}" cx="${place(at(mean))}" cy="${y}" r="5"><title>${escaped(policy)}</title></circle>`;
      const far = mean > most ? " →" : "";
      return `${label(LEFT - 10, y + 4, labels.get(policy) ?? policy, 'text-anchor="end"')}${spread}${dot}${label(WIDTH - RIGHT + 12, y + 4, withHalf(value) + far)}`;
    }),
    label(LEFT + (WIDTH - LEFT - RIGHT) / 2, bottom + 38, xLabel, 'text-anchor="middle"'),
  ];
  return `<svg viewBox="0 0 ${WIDTH} ${bottom + 46}" role="img" aria-label="${escaped(`${title}. ${xLabel}`)}">${parts.join("")}</svg>`;
}
