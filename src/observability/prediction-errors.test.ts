import { expect, test } from "bun:test";
import { Metrics } from "./metrics.ts";
import { PredictionErrors } from "./prediction-errors.ts";

function valueOf(metrics: Metrics, name: string): string | undefined {
  const line = metrics
    .expose()
    .split("\n")
    .find((one) => one.startsWith(name));
  return line?.slice(line.lastIndexOf(" ") + 1);
}

const LABELS = 'model="m",worker="w"';

test("a first token that comes late counts as late, by its seconds and as a multiple of what was predicted", () => {
  const metrics = new Metrics();
  const errors = new PredictionErrors(metrics);
  errors.note("w", "m", 100, 300);
  expect(valueOf(metrics, `pointsman_ttft_prediction_error_seconds_total{${LABELS},direction="late"}`)).toBe("0.2");
  expect(valueOf(metrics, `pointsman_ttft_prediction_error_seconds_total{${LABELS},direction="early"}`)).toBe("0");
  expect(valueOf(metrics, `pointsman_ttft_prediction_error_sum{${LABELS}}`)).toBe("3");
  expect(valueOf(metrics, `pointsman_ttft_prediction_error_bucket{le="2",${LABELS}}`)).toBe("0");
  expect(valueOf(metrics, `pointsman_ttft_prediction_error_bucket{le="3",${LABELS}}`)).toBe("1");
});

test("early and late first tokens count apart, so that the bias and the mean error can be told", () => {
  const metrics = new Metrics();
  const errors = new PredictionErrors(metrics);
  errors.note("w", "m", 1000, 500);
  errors.note("w", "m", 1000, 1250);
  expect(valueOf(metrics, `pointsman_ttft_prediction_error_seconds_total{${LABELS},direction="early"}`)).toBe("0.5");
  expect(valueOf(metrics, `pointsman_ttft_prediction_error_seconds_total{${LABELS},direction="late"}`)).toBe("0.25");
  expect(valueOf(metrics, `pointsman_ttft_prediction_error_count{${LABELS}}`)).toBe("2");
});

test("a prediction of nearly nothing gives no ratio without end", () => {
  const metrics = new Metrics();
  new PredictionErrors(metrics).note("w", "m", 0, 4);
  expect(valueOf(metrics, `pointsman_ttft_prediction_error_sum{${LABELS}}`)).toBe("4");
});

test("a worker that left and comes again begins anew", () => {
  const metrics = new Metrics();
  const errors = new PredictionErrors(metrics);
  metrics.bounded("worker", "w");
  errors.note("w", "m", 100, 300);
  metrics.release("worker", "w");
  errors.note("w", "m", 100, 100);
  expect(valueOf(metrics, `pointsman_ttft_prediction_error_count{${LABELS}}`)).toBe("1");
  expect(valueOf(metrics, `pointsman_ttft_prediction_error_seconds_total{${LABELS},direction="late"}`)).toBe("0");
});

test("cached tokens that were predicted and found are summed, each as it is", () => {
  const metrics = new Metrics();
  const errors = new PredictionErrors(metrics);
  errors.noteCached("w", "m", 1000, 600);
  errors.noteCached("w", "m", 0, 40);
  expect(valueOf(metrics, `pointsman_predicted_cached_prompt_tokens_total{${LABELS}}`)).toBe("1000");
  expect(valueOf(metrics, `pointsman_found_cached_prompt_tokens_total{${LABELS}}`)).toBe("640");
});
