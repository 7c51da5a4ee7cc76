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
  readonly predictedCached: OwnSeries;
  readonly foundCached: OwnSeries;
}

/** Compares what policies predict, times to the first token and cached tokens, with what came, for the metrics. */
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
      predictedCached: metrics.series("predictedCachedTokens", { model, worker }),
      foundCached: metrics.series("foundCachedTokens", { model, worker }),
    }));
  }

  /** `worker`, `model`: values of the labels, bounded by the caller. Times from the send to the first token, ms. */
  note(worker: string, model: string, predictedMs: number, actualMs: number): void {
    const { ratio, late, early } = this.#seriesOf(worker, model);
    ratio.observe(actualMs / Math.max(predictedMs, LEAST_MS));
    const errorMs = actualMs - predictedMs;
    if (errorMs > 0) late.add(errorMs / 1000);
    else early.add(-errorMs / 1000);
  }

  /** The same for cached prompt tokens. */
  noteCached(worker: string, model: string, predicted: number, found: number): void {
    const { predictedCached, foundCached } = this.#seriesOf(worker, model);
    predictedCached.add(predicted);
    foundCached.add(found);
  }

  #seriesOf(worker: string, model: string): ErrorSeries {
    if (this.#version !== this.#metrics.version) {
      // A worker or model has left: its series are gone from the metrics.
      this.#version = this.#metrics.version;
      this.#workers.clear();
    }
    return this.#workers.get(worker, model);
  }
}
