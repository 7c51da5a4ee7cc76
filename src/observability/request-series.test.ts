import { describe, expect, test } from "bun:test";
import { Metrics } from "./metrics.ts";
import { RequestSeries } from "./request-series.ts";

describe("the series that each request counts in", () => {
  test("are those that the metrics have by name and labels", () => {
    const metrics = new Metrics();
    const series = new RequestSeries(metrics);
    const labels = { endpoint: "chat_completions", model: "m" };
    metrics.increment("requests", { ...labels, status: "200" });
    series.ofEndpoint("chat_completions", "m").count(200, 0.25);
    series.ofEndpoint("chat_completions", "m").count(500, 0.25);
    series.ofWorker("http://w", "m").increment("promptTokens", 12);
    series.ofWorker("http://w", "m").observe("timeToFirstToken", 0.5);
    const page = metrics.expose();
    expect(page).toContain('{endpoint="chat_completions",model="m",status="200"} 2');
    expect(page).toContain('{endpoint="chat_completions",model="m",status="500"} 1');
    expect(page).toContain('_prompt_tokens_total{model="m",worker="http://w"} 12');
    expect(page).toContain('_time_to_first_token_seconds_sum{model="m",worker="http://w"} 0.5');
  });

  test("are not there before something is counted", () => {
    const metrics = new Metrics();
    new RequestSeries(metrics).ofWorker("http://w", "m");
    expect(metrics.expose()).not.toContain('worker="http://w"');
  });

  test("are counted anew when a worker has left and one with its address is back", () => {
    const metrics = new Metrics();
    const series = new RequestSeries(metrics);
    series.ofWorker(metrics.bounded("worker", "http://w"), "m").increment("promptTokens", 12);
    metrics.release("worker", "http://w");
    expect(metrics.expose()).not.toContain('worker="http://w"');
    series.ofWorker(metrics.bounded("worker", "http://w"), "m").increment("promptTokens", 5);
    expect(metrics.expose()).toContain('_prompt_tokens_total{model="m",worker="http://w"} 5');
  });
});
