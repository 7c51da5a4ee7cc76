import { expect, test } from "bun:test";
import { countsOf, Metrics } from "./metrics.ts";

test("counters, gauges that are read, and histograms come out as Prometheus wants them", () => {
  const metrics = new Metrics();
  metrics.increment("requests", { endpoint: "chat", model: "m", status: "200" });
  metrics.observe("duration", { endpoint: "chat", model: "m" }, 0.3);
  metrics.read("queueDepth", (set) => set({}, 7));
  const text = metrics.expose();
  expect(text).toContain('pointsman_requests_total{endpoint="chat",model="m",status="200"} 1');
  expect(text).toContain('pointsman_request_duration_seconds_bucket{le="0.5",endpoint="chat",model="m"} 1');
  expect(text).toContain("pointsman_queue_depth 7");
});

test("a gauge that is read forgets what is not there any more", () => {
  const metrics = new Metrics();
  let urls = ["a", "b"];
  metrics.read("breakerState", (set) => {
    for (const worker of urls) set({ worker }, 0);
  });
  expect(metrics.expose()).toContain('worker="b"');
  urls = ["a"];
  expect(metrics.expose()).not.toContain('worker="b"');
});

test("a label has so many values and no more, and one that is gone makes place for another", () => {
  const metrics = new Metrics();
  for (let count = 0; count < 1000; count += 1) {
    metrics.increment("promptTokens", { model: "m", worker: metrics.bounded("worker", `w${count}`) });
  }
  expect(metrics.expose().match(/pointsman_prompt_tokens_total\{/g)).toHaveLength(257);
  metrics.observe("timeToFirstToken", { model: "m", worker: "w7" }, 0.1);
  metrics.release("worker", "w7");
  expect(metrics.expose()).not.toContain('worker="w7"');
  expect([metrics.bounded("worker", "new"), metrics.bounded("worker", "newer")]).toEqual(["new", "other"]);
});

/** A thread that has counted two requests, has five clients, and is late by this, seconds. */
function threadLate(seconds: number): Metrics {
  const metrics = new Metrics();
  metrics.increment("requests", { endpoint: "chat", model: "m", status: "200" }, 2);
  metrics.observe("duration", { endpoint: "chat", model: "m" }, 0.3);
  metrics.read("clientConnections", (set) => set({}, 5));
  metrics.read("loopDelay", (set) => set({}, seconds));
  return metrics;
}

test("a page of several threads has the sum of each metric, and of the event loop's delay the largest", () => {
  const text = threadLate(0.1).expose([threadLate(0.3).snapshot(), threadLate(0.2).snapshot()]);
  expect(text).toContain('pointsman_requests_total{endpoint="chat",model="m",status="200"} 6');
  expect(text).toContain('pointsman_request_duration_seconds_bucket{le="0.25",endpoint="chat",model="m"} 0');
  expect(text).toContain('pointsman_request_duration_seconds_count{endpoint="chat",model="m"} 3');
  expect(text).toContain("pointsman_client_connections 15");
  expect(text).toContain("pointsman_event_loop_delay_seconds 0.3");
});

test("a snapshot survives the way between threads", () => {
  const sent = structuredClone(threadLate(0.1).snapshot());
  expect(new Metrics().expose([sent])).toContain("pointsman_client_connections 5");
});

test("what only grows is kept of a thread that is over, and its gauges are not", () => {
  const kept = countsOf([threadLate(0.1).snapshot(), threadLate(0.1).snapshot()]);
  const text = new Metrics().expose([countsOf([kept, threadLate(0.1).snapshot()])]);
  expect(text).toContain('pointsman_requests_total{endpoint="chat",model="m",status="200"} 6');
  expect(text).toContain("pointsman_client_connections 0");
  expect(text).toContain("pointsman_event_loop_delay_seconds 0\n");
});

test("every metric of the page has its HELP and its TYPE once, before its samples", () => {
  const lines = threadLate(0.1).expose().trimEnd().split("\n");
  const families: string[] = [];
  for (const line of lines) {
    if (line.startsWith("# HELP ")) families.push(line.split(" ")[2] ?? "");
    else if (line !== "") expect(line).toMatch(new RegExp(`^(# TYPE )?${families.at(-1)}(_bucket|_sum|_count)?[ {]`));
  }
  expect(new Set(families).size).toBe(families.length);
});

test("values of a gauge with the same labels, as workers beyond the bound have, are added up, or are the largest", () => {
  const metrics = new Metrics();
  metrics.read("inFlight", (set) => {
    for (const value of [2, 3]) set({ model: "m", worker: "other" }, value);
  });
  metrics.read("breakerState", (set) => {
    for (const value of [0, 2, 1]) set({ worker: "other" }, value);
  });
  metrics.read("certificateExpiry", (set) => set({ use: "server", path: "/c" }, -5));
  for (let scrape = 0; scrape < 2; scrape += 1) {
    const page = metrics.expose();
    expect(page).toContain('pointsman_requests_in_flight{model="m",worker="other"} 5\n');
    expect(page).toContain('pointsman_breaker_state{worker="other"} 2\n');
    expect(page).toContain('pointsman_certificate_expiry_seconds{use="server",path="/c"} -5\n');
  }
});
