import { expect, test } from "bun:test";
import { COMPAT } from "./compat-table.ts";
import { Metrics } from "./metrics.ts";
import { METRICS, type MetricRow } from "./metrics-table.ts";

/** The lines that other names add to the page, without help and type. */
function added(metrics: Metrics, ...sets: (keyof typeof COMPAT)[]): string[] {
  const own = metrics.expose();
  const page = metrics.expose([], sets);
  expect(page).toStartWith(own);
  return page
    .slice(own.length)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
}

test("without a set the page has our names only", () => {
  expect(added(new Metrics())).toEqual([]);
});

test("a metric is summed over the labels that the other name does not have", () => {
  const metrics = new Metrics();
  metrics.increment("requests", { endpoint: "chat_completions", model: "m", status: "200" }, 3);
  metrics.increment("requests", { endpoint: "completions", model: "m", status: "200" }, 4);
  metrics.increment("requests", { endpoint: "completions", model: "m", status: "503" });
  const lines = added(metrics, "smg", "llm-d");
  expect(lines).toContain('smg_router_requests_total{model="m",endpoint="completions"} 5');
  expect(lines).toContain('smg_http_responses_total{status_code="200"} 7');
  expect(lines).toContain('llm_d_epp_request_total{model_name="m",target_model_name="m"} 8');
});

test("histograms keep every observation", () => {
  const metrics = new Metrics();
  for (const worker of ["a", "b"]) metrics.observe("timeToFirstToken", { model: "m", worker }, 0.02);
  const lines = added(metrics, "vllm");
  expect(lines).toContain('vllm:time_to_first_token_seconds_bucket{le="0.01",model_name="m"} 0');
  expect(lines).toContain('vllm:time_to_first_token_seconds_bucket{le="0.025",model_name="m"} 2');
  expect(lines).toContain('vllm:time_to_first_token_seconds_count{model_name="m"} 2');
});

test("two of our metrics may be one of theirs, apart by a label", () => {
  const metrics = new Metrics();
  metrics.increment("promptTokens", { model: "m", worker: "a" }, 10);
  metrics.increment("completionTokens", { model: "m", worker: "a" }, 2);
  const lines = added(metrics, "smg").filter((line) => line.startsWith("smg_router_tokens_total"));
  expect(lines).toEqual([
    'smg_router_tokens_total{model="m",token_type="input"} 10',
    'smg_router_tokens_total{model="m",token_type="output"} 2',
  ]);
});

test("states have the other program's numbers", () => {
  const metrics = new Metrics();
  metrics.read("breakerState", (set) => {
    for (const [worker, state] of Object.entries({ closed: 0, half: 1, open: 2 })) set({ worker }, state);
  });
  const states = added(metrics, "smg").filter((line) => line.startsWith("smg_worker_cb_state"));
  expect(states).toEqual([
    'smg_worker_cb_state{worker="closed"} 0',
    'smg_worker_cb_state{worker="half"} 2',
    'smg_worker_cb_state{worker="open"} 1',
  ]);
});

test("what an autoscaler asks for is there before the first worker and request", () => {
  const lines = added(new Metrics(), "llm-d", "vllm");
  expect(lines).toContain('llm_d_epp_ready_endpoints{name="pointsman"} 0');
  expect(lines).toContain('llm_d_epp_flow_control_queue_size{fairness_id="",priority="",inference_pool="pointsman"} 0');
  expect(lines).toContain("vllm:num_requests_waiting 0");
});

test("each label comes from one of ours, and no name is ours", () => {
  const rows: readonly MetricRow[] = Object.values(METRICS);
  for (const { name, of, labels } of Object.values(COMPAT).flat()) {
    const own: readonly string[] = METRICS[of].labels;
    expect([name, Object.values(labels).filter((from) => !from.startsWith("=") && !own.includes(from))]).toEqual([
      name,
      [],
    ]);
    expect(rows.map((row) => row.name)).not.toContain(name);
  }
});

test("a mean or the largest of several series is one series, and there is none where nothing is known", () => {
  const metrics = new Metrics();
  expect(added(metrics, "llm-d").filter((line) => line.includes("average_queue_size"))).toEqual([]);
  metrics.read("engineWaiting", (set) => {
    for (const [worker, value] of Object.entries({ a: 1, b: 4 })) set({ model: "m", worker }, value);
  });
  metrics.read("saturation", (set) => {
    for (const [model, value] of Object.entries({ m: 0.2, n: 1.5 })) set({ model, stage: "effective" }, value);
  });
  const lines = added(metrics, "llm-d", "vllm");
  expect(lines).toContain('llm_d_epp_average_queue_size{name="pointsman"} 2.5');
  expect(lines).toContain('llm_d_epp_flow_control_pool_saturation{inference_pool="pointsman",stage="effective"} 1.5');
  expect(lines).toContain('llm_d_epp_per_endpoint_queue_size{name="pointsman",model_server_endpoint="b"} 4');
  expect(lines).toContain("vllm:num_requests_waiting 5");
});
