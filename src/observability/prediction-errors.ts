import type { OwnSeries } from "./metric-family.ts";
import type { Metrics } from "./metrics.ts";
import { SeriesMap } from "./series-map.ts";

/** Shortest prediction that a time is divided by, ms: below it, the ratio would show how busy the network is. */
const LEAST_MS = 1;

/** The series of one worker for one model. */
interface ErrorSeries {
  readonly ratio: OwnSeries;
  readonly late: OwnSeries;
  readonly early: OwnSeries;
}

/** Compares the times to the first token that policies predict with the real ones, for the metrics. */
export class PredictionErrors {
  readonly #metrics: Metrics;
  #version: number;
  readonly #workers: SeriesMap<ErrorSeries>;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    this.#version = metrics.version;
    this.#workers = new SeriesMap((worker, model) => ({
      ratio: metrics.series("ttftPredictionError", { model, worker }),
      late: metrics.series("ttftPredictionErrorSeconds", { model, worker, direction: "late" }),
      early: metrics.series("ttftPredictionErrorSeconds", { model, worker, direction: "early" }),
    }));
  }

  /** `worker`, `model`: values of the labels, bounded by the caller. Times from the send to the first token, ms. */
  note(worker: string, model: string, predictedMs: number, actualMs: number): void {
    if (this.#version !== this.#metrics.version) {
      // A worker or model has left: its series are gone from the metrics.
      this.#version = this.#metrics.version;
      this.#workers.clear();
    }
    const { ratio, late, early } = this.#workers.get(worker, model);
    ratio.observe(actualMs / Math.max(predictedMs, LEAST_MS));
    const errorMs = actualMs - predictedMs;
    if (errorMs > 0) late.add(errorMs / 1000);
    else early.add(-errorMs / 1000);
  }
}
