import type { OwnSeries } from "./metric-family.ts";
import type { Metrics } from "./metrics.ts";
import { SeriesMap } from "./series-map.ts";

type WorkerCounter = "promptTokens" | "cachedTokens" | "completionTokens" | "addedEndMarkers";
type WorkerHistogram = "timeToFirstToken" | "timePerOutputToken";

/** Counts requests to one worker for one model. A series is there from the first count on. */
class WorkerSeries {
  readonly #metrics: Metrics;
  readonly #labels: { readonly model: string; readonly worker: string };
  readonly #series = new Map<WorkerCounter | WorkerHistogram, OwnSeries>();

  constructor(metrics: Metrics, worker: string, model: string) {
    this.#metrics = metrics;
    this.#labels = { model, worker };
  }

  increment(name: WorkerCounter, by = 1): void {
    this.#of(name).add(by);
  }

  /** Seconds. */
  observe(name: WorkerHistogram, value: number): void {
    this.#of(name).observe(value);
  }

  #of(name: WorkerCounter | WorkerHistogram): OwnSeries {
    let series = this.#series.get(name);
    if (!series) {
      series = this.#metrics.series(name, this.#labels);
      this.#series.set(name, series);
    }
    return series;
  }
}

/** Counts requests on one endpoint for one model. */
class EndpointSeries {
  readonly #metrics: Metrics;
  readonly #labels: { readonly endpoint: string; readonly model: string };
  readonly #duration: OwnSeries;
  readonly #byStatus = new Map<number, OwnSeries>();

  constructor(metrics: Metrics, endpoint: string, model: string) {
    this.#metrics = metrics;
    this.#labels = { endpoint, model };
    this.#duration = metrics.series("duration", this.#labels);
  }

  /** A request has ended with this status, so many seconds after it came. */
  count(status: number, duration: number): void {
    let requests = this.#byStatus.get(status);
    if (!requests) {
      requests = this.#metrics.series("requests", { ...this.#labels, status: String(status) });
      this.#byStatus.set(status, requests);
    }
    requests.add(1);
    this.#duration.observe(duration);
  }
}

/**
 * The series that each request counts in, found by the values of two labels. To find each by its name and all of its labels took 5 % of the
 * CPU of a small request (Bun 1.4.5, 2026-11-26).
 */
export class RequestSeries {
  readonly #metrics: Metrics;
  #version: number;
  readonly #endpoints: SeriesMap<EndpointSeries>;
  readonly #workers: SeriesMap<WorkerSeries>;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    this.#version = metrics.version;
    this.#endpoints = new SeriesMap((endpoint, model) => new EndpointSeries(metrics, endpoint, model));
    this.#workers = new SeriesMap((worker, model) => new WorkerSeries(metrics, worker, model));
  }

  ofEndpoint(endpoint: string, model: string): EndpointSeries {
    this.#forgetOld();
    return this.#endpoints.get(endpoint, model);
  }

  ofWorker(worker: string, model: string): WorkerSeries {
    this.#forgetOld();
    return this.#workers.get(worker, model);
  }

  /** A worker or model has left: its series are gone from the metrics. */
  #forgetOld(): void {
    if (this.#version === this.#metrics.version) return;
    this.#version = this.#metrics.version;
    this.#endpoints.clear();
    this.#workers.clear();
  }
}
