import type { MetricRow } from "./metrics-table.ts";

type Labels = Readonly<Record<string, string>>;

/** One series of a metric as data, which threads send to each other. */
export interface Series {
  /** Values of the labels that the metric's row names, in the row's order. */
  readonly labels: readonly string[];
  /** The counted or set value; for a histogram the sum of the observations. */
  readonly value: number;
  /** For a histogram: number of observations for each bound, counted at the first bound that they do not exceed; the last number counts those above all bounds. */
  readonly buckets: readonly number[];
}

/** One series that is counted in. */
export class OwnSeries implements Series {
  readonly labels: readonly string[];
  value = 0;
  readonly buckets: number[];
  readonly #bounds: readonly number[];

  /** `bounds`: those of a histogram's buckets, without +Inf; undefined where it is none. */
  constructor(labels: readonly string[], bounds: readonly number[] | undefined) {
    this.labels = labels;
    this.#bounds = bounds ?? [];
    this.buckets = bounds ? Array.from({ length: bounds.length + 1 }, () => 0) : [];
  }

  add(by: number): void {
    this.value += by;
  }

  /** Counts `value` in a histogram, in the unit of its bounds. */
  observe(value: number): void {
    this.value += value;
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] ?? 0)) at += 1;
    this.buckets[at] = (this.buckets[at] ?? 0) + 1;
  }
}

/** Series by the values of their labels, one after the other: a level for each label. */
type Level = Map<string, Level | OwnSeries>;

/**
 * The series of one metric. Every request counts here: a series is found label by label, without a key being made of them, and changed in
 * place. A metric without labels has its one series from the beginning, with the value 0, and one whose row names series has these.
 */
export class MetricFamily {
  readonly row: MetricRow;
  readonly #labelNames: readonly string[];
  readonly #bounds: readonly number[] | undefined;
  readonly #series = new Map<string, OwnSeries>();
  /** The series that were asked for by their labels. */
  readonly #byLabels: Level = new Map();

  constructor(row: MetricRow) {
    this.row = row;
    this.#labelNames = row.labels;
    this.#bounds = row.kind === "histogram" ? (row.buckets ?? []) : undefined;
    this.clear();
  }

  increment(labels: Labels, by: number): void {
    this.seriesOf(labels).add(by);
  }

  /** Counts `value` in a histogram, in the unit of its bounds. */
  observe(labels: Labels, value: number): void {
    this.seriesOf(labels).observe(value);
  }

  /**
   * Adds one of the values that make a gauge at a scrape, after `clear`. What has the same labels, as the models and workers beyond the
   * bound have, becomes one as the row says.
   */
  gather(labels: Labels, value: number): void {
    const { size } = this.#series;
    const series = this.seriesOf(labels);
    const isFirst = this.#series.size > size || this.#labelNames.length === 0;
    if (isFirst) series.value = value;
    else series.value = this.row.over === "max" ? Math.max(series.value, value) : series.value + value;
  }

  /** Adds a series of another thread: its counts to ours, and its value too, or the larger of the two where the row says so. */
  merge({ labels, value, buckets }: Series): void {
    const own = this.#series.get(keyOf(labels)) ?? this.#create(labels);
    own.value = this.row.over === "max" ? Math.max(own.value, value) : own.value + value;
    for (const [index, count] of buckets.entries()) own.buckets[index] = (own.buckets[index] ?? 0) + count;
  }

  /** Forgets the series in which the label has this value. */
  remove(label: string, value: string): void {
    const at = this.#labelNames.indexOf(label);
    if (at === -1) return;
    this.#byLabels.clear();
    for (const [key, { labels }] of this.#series) if (labels[at] === value) this.#series.delete(key);
  }

  clear(): void {
    this.#series.clear();
    this.#byLabels.clear();
    if (this.#labelNames.length === 0) this.#create([]);
    for (const labels of this.row.from ?? []) this.#create(labels);
  }

  /** Copies of the series, in the order in which they were first counted. */
  snapshot(): readonly Series[] {
    return Array.from(this.#series.values(), ({ labels, value, buckets }) => ({
      labels,
      value,
      buckets: [...buckets],
    }));
  }

  /** The series with these labels, made where it is not there yet. */
  seriesOf(labels: Labels): OwnSeries {
    let found: Level | OwnSeries | undefined = this.#byLabels;
    for (const name of this.#labelNames) {
      if (found instanceof Map) found = found.get(labels[name] ?? "");
    }
    return found instanceof OwnSeries ? found : this.#first(labels);
  }

  /** The series with labels that nobody has asked for before. */
  #first(labels: Labels): OwnSeries {
    const values = this.#labelNames.map((name) => labels[name] ?? "");
    const series = this.#series.get(keyOf(values)) ?? this.#create(values);
    let level = this.#byLabels;
    for (const value of values.slice(0, -1)) {
      const known = level.get(value);
      const next: Level = known instanceof Map ? known : new Map();
      level.set(value, next);
      level = next;
    }
    if (values.length > 0) level.set(values.at(-1) ?? "", series);
    return series;
  }

  #create(labels: readonly string[]): OwnSeries {
    const series = new OwnSeries(labels, this.#bounds);
    this.#series.set(keyOf(labels), series);
    return series;
  }
}

/** The key of a series: each value with a character behind it that URLs and codes do not have. */
function keyOf(values: readonly string[]): string {
  let key = "";
  for (const value of values) key += `${value}\u0000`;
  return key;
}
