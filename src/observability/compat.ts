import { COMPAT, type CompatRow, type CompatSet } from "./compat-table.ts";
import { exposeFamily } from "./exposition.ts";
import { MetricFamily, type Series } from "./metric-family.ts";
import { METRICS, type MetricName, type MetricRow } from "./metrics-table.ts";

/** The series of a metric at present. */
type SeriesOf = (name: MetricName) => readonly Series[];

/**
 * The metrics of these sets in the Prometheus text format, made of our own series, so that nothing is counted twice. Series
 * that differ only in labels which the other name does not have are added up.
 */
export function exposeCompat(sets: readonly CompatSet[], seriesOf: SeriesOf): string {
  const families = new Map<string, MetricFamily>();
  for (const row of sets.flatMap((set) => COMPAT[set])) {
    const family = families.get(row.name) ?? new MetricFamily(rowOf(row));
    families.set(row.name, family);
    // A series that is not there reads as no demand to some autoscalers, so one that is known beforehand is there from the beginning.
    // A mean or a largest value of nothing is none.
    if (row.combine === undefined && Object.values(row.labels).every(isFixed)) family.merge(mapped(row, NOTHING));
    const renamed = seriesOf(row.of).map((series) => mapped(row, series));
    for (const series of row.combine === undefined ? renamed : combined(row.combine, renamed)) family.merge(series);
  }
  return Array.from(families.values(), (family) => `\n${exposeFamily(family.row, family.snapshot())}`).join("");
}

/** One series for those with the same labels. */
function combined(how: "mean" | "max", series: readonly Series[]): Series[] {
  const groups = Map.groupBy(series, ({ labels }) => labels.join("\u0000"));
  return Array.from(groups.values(), (group) => {
    const values = group.map(({ value }) => value);
    const sum = values.reduce((total, value) => total + value, 0);
    return {
      labels: group[0]?.labels ?? [],
      value: how === "max" ? Math.max(...values) : sum / values.length,
      buckets: [],
    };
  });
}

function rowOf({ name, of, labels, combine }: CompatRow): MetricRow {
  const { kind, ...own }: MetricRow = METRICS[of];
  return {
    name,
    kind,
    help: combine === undefined ? `As ${own.name}.` : `As ${own.name}, the ${combine} of its series.`,
    labels: Object.keys(labels),
    ...(own.over === undefined ? {} : { over: own.over }),
    ...(own.buckets === undefined ? {} : { buckets: own.buckets }),
  };
}

function mapped({ of, labels, values }: CompatRow, series: Series): Series {
  const names: readonly string[] = METRICS[of].labels;
  return {
    labels: Object.values(labels).map((from) =>
      isFixed(from) ? from.slice(1) : (series.labels[names.indexOf(from)] ?? ""),
    ),
    value: values?.[series.value] ?? series.value,
    buckets: series.buckets,
  };
}

const NOTHING: Series = { labels: [], value: 0, buckets: [] };

/** Whether a label always has the same text. */
function isFixed(from: string): boolean {
  return from.startsWith("=");
}
