import { keysOf } from "../util/objects.ts";
import type { CompatSet } from "./compat-table.ts";
import { exposeCompat } from "./compat.ts";
import { exposeFamily } from "./exposition.ts";
import { MetricFamily, type OwnSeries, type Series } from "./metric-family.ts";
import { type CounterName, type HistogramName, type LabelsOf, type MetricName, METRICS } from "./metrics-table.ts";

/** Distinct values of a label before further ones count as `other`. */
const MAX_LABEL_VALUES = 256;

/** Metrics of one thread as data, or of several added up. */
export type MetricsSnapshot = Readonly<Partial<Record<MetricName, readonly Series[]>>>;

/** Computes a metric's values at each scrape, and passes each value to `set`. */
type Reader<Name extends MetricName> = (set: (labels: LabelsOf<Name>, value: number) => void) => void;

/** The metrics of one gateway, or of one thread of it. Names and labels are those of the table. */
export class Metrics {
  readonly #families = familiesByName();
  readonly #readers = new Map<MetricName, () => void>();
  readonly #seen = new Map<string, Set<string>>();
  #version = 0;

  increment<Name extends CounterName>(name: Name, labels: LabelsOf<Name>, by = 1): void {
    this.#families.get(name)?.increment(labels, by);
  }

  /** Counts `value`, seconds, in a histogram. */
  observe<Name extends HistogramName>(name: Name, labels: LabelsOf<Name>, value: number): void {
    this.#families.get(name)?.observe(labels, value);
  }

  /** Grows when series are taken away: one that `series` gave before counts for nothing then. */
  get version(): number {
    return this.#version;
  }

  /** One series of a counter or histogram, for code that counts in it again and again. See `version`. */
  series<Name extends CounterName | HistogramName>(name: Name, labels: LabelsOf<Name>): OwnSeries {
    const family = this.#families.get(name);
    if (!family) throw new RangeError(`there is no metric ${name}`);
    return family.seriesOf(labels);
  }

  /** Registers `reader`, which gives the values of a gauge, or of a counter that other code keeps. */
  read<Name extends Exclude<MetricName, HistogramName>>(name: Name, reader: Reader<Name>): void {
    const family = this.#families.get(name);
    if (!family) return;
    this.#readers.set(name, () => {
      family.clear();
      reader((labels, value) => family.gather(labels, value));
    });
  }

  /** `value`, or `other` once too many values of this label have been seen. */
  bounded(label: string, value: string): string {
    let seen = this.#seen.get(label);
    if (!seen) {
      seen = new Set();
      this.#seen.set(label, seen);
    }
    if (seen.has(value)) return value;
    if (seen.size >= MAX_LABEL_VALUES) return "other";
    seen.add(value);
    return value;
  }

  /** Drops the series of a label's value that is gone for good (a worker has left), so that another value may take its place. */
  release(label: string, value: string): void {
    if (this.#seen.get(label)?.delete(value) !== true) return;
    this.#version += 1;
    for (const family of this.#families.values()) family.remove(label, value);
  }

  /** A page in the Prometheus text format: these metrics, with those of other threads added to them, and under the names of `compat` too. */
  expose(others: readonly MetricsSnapshot[] = [], compat: readonly CompatSet[] = []): string {
    this.#readAll();
    const families = others.length === 0 ? this.#families : mergedFamilies([this.#snapshot(), ...others]);
    const own = Array.from(families.values(), (family) => exposeFamily(family.row, family.snapshot())).join("\n");
    return own + exposeCompat(compat, (name) => families.get(name)?.snapshot() ?? []);
  }

  /** The values that the metrics have now. */
  snapshot(): MetricsSnapshot {
    this.#readAll();
    return this.#snapshot();
  }

  #snapshot(): MetricsSnapshot {
    return snapshotOf(this.#families);
  }

  #readAll(): void {
    for (const read of this.#readers.values()) read();
  }
}

/** The counters of several snapshots together. The counts of a thread stay when the thread is gone. */
export function countsOf(snapshots: readonly MetricsSnapshot[]): MetricsSnapshot {
  const families = mergedFamilies(snapshots);
  for (const [name, { row }] of families) if (row.kind === "gauge") families.delete(name);
  return snapshotOf(families);
}

function familiesByName(): Map<MetricName, MetricFamily> {
  return new Map(keysOf(METRICS).map((name) => [name, new MetricFamily(METRICS[name])]));
}

function mergedFamilies(snapshots: readonly MetricsSnapshot[]): Map<MetricName, MetricFamily> {
  const families = familiesByName();
  for (const snapshot of snapshots)
    for (const [name, family] of families) for (const series of snapshot[name] ?? []) family.merge(series);
  return families;
}

function snapshotOf(families: ReadonlyMap<MetricName, MetricFamily>): MetricsSnapshot {
  const snapshot: Partial<Record<MetricName, readonly Series[]>> = {};
  for (const [name, family] of families) snapshot[name] = family.snapshot();
  return snapshot;
}
