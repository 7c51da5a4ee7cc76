import type { Series } from "./metric-family.ts";
import type { MetricRow } from "./metrics-table.ts";

/** `Content-Type` of a page in the Prometheus text format. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/**
 * One metric in the Prometheus text format: its `# HELP` and `# TYPE` lines, then a line for each series, or for each
 * bucket, sum and count of a histogram. Each line ends with a line feed.
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
 */
export function exposeFamily(row: MetricRow, series: readonly Series[]): string {
  let text = `# HELP ${row.name} ${escapeHelp(row.help)}\n# TYPE ${row.name} ${row.kind}\n`;
  for (const one of series) {
    const labels = row.labels.map((name, index) => `${name}="${escapeLabel(one.labels[index] ?? "")}"`);
    text += row.kind === "histogram" ? histogramLines(row, labels, one) : sampleLine(row.name, labels, one.value);
  }
  return text;
}

/** Buckets are cumulative: each counts what is not above its bound, and the last one, `+Inf`, counts everything. */
function histogramLines({ name, buckets: bounds = [] }: MetricRow, labels: string[], series: Series): string {
  let text = "";
  let count = 0;
  for (const [index, bound] of [...bounds, Number.POSITIVE_INFINITY].entries()) {
    count += series.buckets[index] ?? 0;
    text += sampleLine(`${name}_bucket`, [`le="${numberText(bound)}"`, ...labels], count);
  }
  return text + sampleLine(`${name}_sum`, labels, series.value) + sampleLine(`${name}_count`, labels, count);
}

function sampleLine(name: string, labels: readonly string[], value: number): string {
  return `${name}${labels.length === 0 ? "" : `{${labels.join(",")}}`} ${numberText(value)}\n`;
}

/** The format writes infinity as `+Inf` and `-Inf`; all other numbers, and `NaN`, it writes as JavaScript does. */
function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
