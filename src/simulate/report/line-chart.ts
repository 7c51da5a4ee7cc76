import type { Scale } from "./scale.ts";
import { escaped, label, place, type SeriesStyles } from "./svg.ts";

/** One line of a chart. */
export interface Series {
  readonly policy: string;
  /** Points, and for each half of its confidence interval where it has one. */
  readonly points: readonly { readonly x: number; readonly y: number; readonly half?: number }[];
}

/** A chart of lines. */
export interface LineChart {
  readonly title: string;
  /** What the picture shows, for those who do not see it. */
  readonly describes: string;
  readonly x: Scale;
  readonly y: Scale;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly xText: (value: number) => string;
  readonly yText: (value: number) => string;
  readonly series: readonly Series[];
  /** Whether each point has a mark. */
  readonly hasMarks: boolean;
}

const WIDTH = 640;
const LEFT = 62;
const RIGHT = 14;
const TOP = 34;
const PLOT = 270;
const KEY_LINE = 21;
/** Bars of confidence that stand beside each other. */
const ASIDE = 9;

/** Draws the chart, with its key below it. */
export function lineChart(chart: LineChart, styles: SeriesStyles): string {
  const keys = keyOf(
    chart.series.map(({ policy }) => policy),
    styles,
    TOP + PLOT + 62,
  );
  const height = TOP + PLOT + 62 + keys.lines * KEY_LINE;
  const parts = [
    label(LEFT, 20, chart.title, 'class="title"'),
    ...axes(chart),
    ...chart.series.map((series, index) => drawn(series, chart, styles, index)),
    ...keys.parts,
  ];
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="group" aria-label="${escaped(`${chart.title}. ${chart.describes}`)}">${parts.join("")}</svg>`;
}

function xOf({ x }: LineChart, value: number): number {
  return LEFT + x.at(value) * (WIDTH - LEFT - RIGHT);
}

function yOf({ y }: LineChart, value: number): number {
  return TOP + (1 - y.at(value)) * PLOT;
}

function* axes(chart: LineChart): Generator<string, void, void> {
  for (const tick of chart.y.ticks) {
    const y = yOf(chart, tick);
    yield `<path class="grid" d="M${LEFT} ${place(y)}H${WIDTH - RIGHT}"/>`;
    yield label(LEFT - 7, y + 4, chart.yText(tick), 'class="soft" text-anchor="end"');
  }
  for (const tick of chart.x.ticks) {
    const x = xOf(chart, tick);
    yield `<path class="grid" d="M${place(x)} ${TOP}V${TOP + PLOT}"/>`;
    yield label(x, TOP + PLOT + 18, chart.xText(tick), 'class="soft" text-anchor="middle"');
  }
  yield `<path class="axis" d="M${LEFT} ${TOP}V${TOP + PLOT}H${WIDTH - RIGHT}"/>`;
  yield label(LEFT + (WIDTH - LEFT - RIGHT) / 2, TOP + PLOT + 38, chart.xLabel, 'text-anchor="middle"');
  const middle = TOP + PLOT / 2;
  yield label(15, middle, chart.yLabel, `text-anchor="middle" transform="rotate(-90 15 ${middle})"`);
}

function drawn({ policy, points }: Series, chart: LineChart, styles: SeriesStyles, index: number): string {
  const style = styles.of(policy);
  const name = escaped(policy);
  const path = points.map(
    ({ x, y }, index) => `${index === 0 ? "M" : "L"}${place(xOf(chart, x))} ${place(yOf(chart, y))}`,
  );
  const line = `<path class="series ${style}" data-policy="${name}" d="${path.join("")}"><title>${name}</title></path>`;
  if (!chart.hasMarks) return line;
  // Beside each other, so that each can be seen. Policies without a color of their own would only cover the others.
  const aside = ((index % ASIDE) - (ASIDE - 1) / 2) * 3;
  const marks = points.map(({ x, y, half = 0 }) => {
    const [cx, cy] = [xOf(chart, x), place(yOf(chart, y))];
    const hasSpread = half > 0 && style !== "other";
    const ends = `M${place(cx + aside)} ${place(yOf(chart, y - half))}V${place(yOf(chart, y + half))}`;
    const spread = hasSpread ? `<path class="spread ${style}" d="${ends}"/>` : "";
    const says = `${policy}: ${chart.yText(y)} at ${chart.xText(x)}`;
    return `${spread}<circle class="dot ${style}" cx="${place(cx)}" cy="${cy}" r="4"><title>${escaped(says)}</title></circle>`;
  });
  return `${line}<g class="mark" data-policy="${name}">${marks.join("")}</g>`;
}

/** The key: policies in lines as they fit. Each can be reached by keyboard. */
function keyOf(policies: readonly string[], styles: SeriesStyles, top: number): { parts: string[]; lines: number } {
  const parts: string[] = [];
  let [x, line] = [LEFT, 0];
  for (const policy of policies) {
    // A letter of 13 pixels is about 7 wide.
    const width = 40 + policy.length * 7.2;
    if (x + width > WIDTH && x > LEFT) [x, line] = [LEFT, line + 1];
    const y = top + line * KEY_LINE;
    const name = escaped(policy);
    parts.push(
      `<g class="key" tabindex="0" data-policy="${name}"><path class="series ${styles.of(policy)}" data-policy="${name}" d="M${place(x)} ${y - 4}h22"/>${label(x + 28, y, policy)}</g>`,
    );
    x += width;
  }
  return { parts, lines: line + 1 };
}
