import { short } from "./numbers.ts";
import { escaped, label, place } from "./svg.ts";

/** The load of workers over time. */
export interface HeatMap {
  readonly title: string;
  /** The title as there is room for it, of 30 characters at most. */
  readonly label: string;
  /** For each worker its requests in flight in equal spans of time. */
  readonly inFlight: readonly (readonly number[])[];
  /** Requests in flight that have the full color; the same for all maps that are compared. */
  readonly most: number;
  readonly secs: number;
}

const WIDTH = 320;
const LEFT = 26;
const TOP = 28;
/** Steps of the color; a run of one step is one rectangle. */
const STEPS = 10;

/** Draws a row for each worker; the stronger the color, the more requests it has in flight. */
export function heatMap({ title, label: shown, inFlight, most, secs }: HeatMap): string {
  const row = Math.max(3, Math.min(16, 240 / inFlight.length));
  const bottom = TOP + row * inFlight.length;
  const parts = [
    label(0, 16, shown, 'class="title"'),
    `<rect class="heat-page" x="${LEFT}" y="${TOP}" width="${WIDTH - LEFT}" height="${place(bottom - TOP)}"/>`,
    ...inFlight.map((spans, worker) => rowOf(spans, most, TOP + worker * row, row)),
    label(LEFT, bottom + 16, "0 s", 'class="soft"'),
    label(WIDTH, bottom + 16, `${short(secs)} s`, 'class="soft" text-anchor="end"'),
    ...(row >= 12
      ? inFlight.map((_, worker) =>
          label(LEFT - 6, TOP + (worker + 0.75) * row, String(worker), 'class="soft" text-anchor="end"'),
        )
      : []),
  ];
  const says = `${title}: requests in flight at each worker over ${short(secs)} s; at most ${short(Math.max(...inFlight.flat()))}`;
  return `<svg viewBox="0 0 ${WIDTH} ${place(bottom + 20)}" role="img" aria-label="${escaped(says)}">${parts.join("")}</svg>`;
}

function rowOf(spans: readonly number[], most: number, y: number, height: number): string {
  const width = (WIDTH - LEFT) / spans.length;
  const steps = spans.map((value) => Math.min(STEPS, Math.round((value / most) * STEPS)));
  const parts: string[] = [];
  let start = 0;
  for (let at = 1; at <= steps.length; at += 1) {
    const step = steps[start] ?? 0;
    if (steps[at] === step) continue;
    if (step > 0) {
      parts.push(
        `<rect class="heat" x="${place(LEFT + start * width)}" y="${place(y)}" width="${place((at - start) * width)}" height="${place(height - 0.6)}" fill-opacity="${step / STEPS}"/>`,
      );
    }
    start = at;
  }
  return parts.join("");
}
