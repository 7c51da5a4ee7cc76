import {
  AggregatorRegistry,
  Gauge,
  type Metric,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
} from "prom-client";
import { keysOf } from "../util/objects.ts";
import { Tally } from "./metric-tally.ts";
import { type MetricName, type MetricRow, METRICS } from "./metrics-table.ts";

/** Distinct values of a label before further ones count as `other`. */
const MAX_LABEL_VALUES = 256;

/** Metrics of one thread as data. */
export type MetricsSnapshot = MetricObjectWithValues<MetricValue<string>>[];

type Labels = Readonly<Record<string, string>>;

/** Makes a gauge's values when somebody asks for them: called at each scrape, sets through the function it is given. */
export type GaugeReader = (set: (labels: Labels, value: number) => void) => void;

/** The metrics of one gateway. Names and labels are those of the table; nothing else can be counted. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #metrics = new Map<MetricName, Tally | Gauge>();
  readonly #readers = new Map<MetricName, GaugeReader>();
  readonly #seen = new Map<string, Set<string>>();

  constructor() {
    for (const name of keysOf(METRICS)) this.#metrics.set(name, this.#create(METRICS[name]));
  }

  increment(name: MetricName, labels: Labels, by = 1): void {
    const metric = this.#metrics.get(name);
    if (metric instanceof Tally) metric.increment(labels, by);
  }

  observe(name: MetricName, labels: Labels, value: number): void {
    const metric = this.#metrics.get(name);
    if (metric instanceof Tally) metric.observe(labels, value);
  }

  /** From now on the gauge (or a counter kept elsewhere) is read through `reader`. */
  read(name: MetricName, reader: GaugeReader): void {
    this.#readers.set(name, reader);
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

  /** The value is gone for good (a worker has left): its series go, and its place is free for another. */
  release(label: string, value: string): void {
    if (this.#seen.get(label)?.delete(value) !== true) return;
    for (const metric of this.#metrics.values()) void removeSeries(metric, label, value);
  }

  /** Prometheus text exposition, version 0.0.4, of these metrics and those of other threads together. */
  async expose(others: readonly MetricsSnapshot[] = []): Promise<string> {
    if (others.length === 0) {
      this.#readGauges();
      return this.#registry.metrics();
    }
    return AggregatorRegistry.aggregate([await this.snapshot(), ...others]).metrics();
  }

  /** What there is now, to be added to another thread's. */
  async snapshot(): Promise<MetricsSnapshot> {
    this.#readGauges();
    return this.#registry.getMetricsAsJSON();
  }

  #readGauges(): void {
    for (const [name, reader] of this.#readers) {
      const metric = this.#metrics.get(name);
      metric?.reset();
      if (metric instanceof Gauge) reader((labels, value) => metric.set(labels, value));
      else if (metric instanceof Tally) reader((labels, value) => metric.increment(labels, value));
    }
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #create(row: MetricRow): Tally | Gauge {
    if (row.kind === "gauge") {
      return new Gauge({
        name: row.name,
        help: row.help,
        labelNames: [...row.labels],
        registers: [this.#registry],
        aggregator: row.over ?? "sum",
      });
    }
    const tally = new Tally(row);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the registry asks its metrics for `name` and `get` only
    this.#registry.registerMetric(tally as unknown as Metric);
    return tally;
  }
}

/** What only grows, of several snapshots together: what a thread has counted stays counted when it is gone. */
export async function countsOf(snapshots: readonly MetricsSnapshot[]): Promise<MetricsSnapshot> {
  const metrics = await AggregatorRegistry.aggregate([...snapshots]).getMetricsAsJSON();
  return metrics.filter(({ type }) => COUNTING.has(String(type)));
}

const COUNTING: ReadonlySet<string> = new Set(["counter", "histogram"]);

async function removeSeries(metric: Tally | Gauge, label: string, value: string): Promise<void> {
  if (metric instanceof Tally) {
    metric.remove(label, value);
    return;
  }
  const { values } = await metric.get();
  for (const { labels } of values) if (labels[label] === value) metric.remove(labels);
}
