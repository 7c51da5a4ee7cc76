import { expect, test } from "bun:test";
import { Metrics } from "./metrics.ts";

test("counters, gauges that are read, and histograms come out as Prometheus wants them", async () => {
  const metrics = new Metrics();
  metrics.increment("requests", { endpoint: "chat", model: "m", status: "200" });
  metrics.observe("duration", { endpoint: "chat", model: "m" }, 0.3);
  metrics.read("queueDepth", (set) => set({}, 7));
  const text = await metrics.expose();
  expect(text).toContain('pointsman_requests_total{endpoint="chat",model="m",status="200"} 1');
  expect(text).toContain('pointsman_request_duration_seconds_bucket{le="0.5",endpoint="chat",model="m"} 1');
  expect(text).toContain("pointsman_queue_depth 7");
});

test("a gauge that is read forgets what is not there any more", async () => {
  const metrics = new Metrics();
  let urls = ["a", "b"];
  metrics.read("breakerState", (set) => {
    for (const worker of urls) set({ worker }, 0);
  });
  expect(await metrics.expose()).toContain('worker="b"');
  urls = ["a"];
  expect(await metrics.expose()).not.toContain('worker="b"');
});

test("a label has so many values and no more, and one that is gone makes place for another", async () => {
  const metrics = new Metrics();
  for (let count = 0; count < 1000; count += 1) {
    metrics.increment("promptTokens", { model: "m", worker: metrics.bounded("worker", `w${count}`) });
  }
  expect((await metrics.expose()).match(/pointsman_prompt_tokens_total\{/g)).toHaveLength(257);
  metrics.observe("timeToFirstToken", { model: "m", worker: "w7" }, 0.1);
  metrics.release("worker", "w7");
  await Bun.sleep(0);
  expect(await metrics.expose()).not.toContain('worker="w7"');
  expect([metrics.bounded("worker", "new"), metrics.bounded("worker", "newer")]).toEqual(["new", "other"]);
});
