import type { MetricName } from "./metrics-table.ts";

/** Whose names of metrics are given beside the gateway's own. */
export type CompatSet = "smg" | "vllm" | "llm-d";

/** A metric under another program's name. Its values are those of our own metric, added up over the labels that it does not have, or combined as the row says. */
export interface CompatRow {
  readonly name: string;
  readonly of: MetricName;
  /** Each label of the other program: the label of ours that has its value, or a text that is always the same, behind `=`. */
  readonly labels: Readonly<Record<string, string>>;
  /** Values of the other program for values of ours, where they differ. */
  readonly values?: Readonly<Record<number, number>>;
  /** For a gauge: how series become one that differ only in labels which the other name does not have. Without it they are added up. */
  readonly combine?: "mean" | "max";
}

const MODEL = { model_name: "model" };
const BOTH_MODELS = { ...MODEL, target_model_name: "model" };
/** The gateway has no names for the tiers of callers. */
const NO_TIER = { fairness_id: "=", priority: "=" };
/** All workers of the gateway are one pool. */
const POOL = { name: "=pointsman" };
const FLOW_POOL = { inference_pool: "=pointsman" };
const ENGINE = { worker: "worker", model: "model" };

/** llm-d's metrics under their present names (`llm_d_epp_`), and those of the same with the older names that it gives beside them. */
const LLM_D: readonly (readonly [now: string, before: string | undefined, row: Omit<CompatRow, "name">])[] = [
  ["request_total", "inference_objective_request_total", { of: "requests", labels: BOTH_MODELS }],
  [
    "request_error_total",
    "inference_objective_request_error_total",
    { of: "errors", labels: { ...BOTH_MODELS, error_code: "code" } },
  ],
  ["request_duration_seconds", "inference_objective_request_duration_seconds", { of: "duration", labels: BOTH_MODELS }],
  ["request_ttft_seconds", undefined, { of: "timeToFirstToken", labels: BOTH_MODELS }],
  ["request_streaming_tpot_seconds", undefined, { of: "timePerOutputToken", labels: BOTH_MODELS }],
  ["request_running", undefined, { of: "inFlight", labels: { ...BOTH_MODELS, ...NO_TIER } }],
  ["ready_endpoints", "inference_pool_ready_pods", { of: "workerUp", labels: POOL }],
  ["average_queue_size", "inference_pool_average_queue_size", { of: "engineWaiting", labels: POOL, combine: "mean" }],
  [
    "average_kv_cache_utilization",
    "inference_pool_average_kv_cache_utilization",
    { of: "engineKvUsage", labels: POOL, combine: "mean" },
  ],
  [
    "average_running_requests",
    "inference_pool_average_running_requests",
    { of: "engineRunning", labels: POOL, combine: "mean" },
  ],
  ["per_endpoint_queue_size", undefined, { of: "engineWaiting", labels: { ...POOL, model_server_endpoint: "worker" } }],
  [
    "flow_control_queue_size",
    "inference_extension_flow_control_queue_size",
    { of: "queueDepth", labels: { ...NO_TIER, ...FLOW_POOL } },
  ],
  // Of several models the fullest: it is the one that needs workers.
  [
    "flow_control_pool_saturation",
    "inference_extension_flow_control_pool_saturation",
    { of: "saturation", labels: { ...FLOW_POOL, stage: "stage" }, combine: "max" },
  ],
];

/**
 * The names that dashboards and autoscalers ask for. Labels that the gateway does not know are not there (smg's `router_type`,
 * `connection_mode`), and `endpoint` has our names of routes. Buckets are ours.
 */
export const COMPAT: Readonly<Record<CompatSet, readonly CompatRow[]>> = {
  smg: [
    { name: "smg_router_requests_total", of: "requests", labels: { model: "model", endpoint: "endpoint" } },
    { name: "smg_http_responses_total", of: "requests", labels: { status_code: "status" } },
    {
      name: "smg_router_request_errors_total",
      of: "errors",
      labels: { model: "model", endpoint: "endpoint", error_type: "code" },
    },
    {
      name: "smg_router_request_duration_seconds",
      of: "duration",
      labels: { model: "model", endpoint: "endpoint" },
    },
    { name: "smg_router_ttft_seconds", of: "timeToFirstToken", labels: { model: "model" } },
    { name: "smg_router_tpot_seconds", of: "timePerOutputToken", labels: { model: "model" } },
    { name: "smg_router_tokens_total", of: "promptTokens", labels: { model: "model", token_type: "=input" } },
    { name: "smg_router_tokens_total", of: "completionTokens", labels: { model: "model", token_type: "=output" } },
    { name: "smg_http_connections_active", of: "clientConnections", labels: {} },
    { name: "smg_worker_requests_active", of: "inFlight", labels: { worker: "worker" } },
    { name: "smg_worker_health", of: "workerUp", labels: { worker: "worker" } },
    // smg's numbers: 0 closed, 1 open, 2 half-open.
    { name: "smg_worker_cb_state", of: "breakerState", labels: { worker: "worker" }, values: { 1: 2, 2: 1 } },
    { name: "smg_worker_retries_total", of: "retries", labels: {} },
    { name: "smg_worker_selection_total", of: "attempts", labels: { model: "model" } },
    { name: "smg_http_requests_total", of: "requests", labels: {} },
    { name: "smg_http_request_duration_seconds", of: "duration", labels: {} },
    { name: "smg_pd_prefill_duration_seconds", of: "prefillDuration", labels: { model: "model" } },
    { name: "smg_engine_running_requests", of: "engineRunning", labels: ENGINE },
    { name: "smg_engine_waiting_requests", of: "engineWaiting", labels: ENGINE },
    { name: "smg_engine_token_usage", of: "engineKvUsage", labels: ENGINE },
    // The dashboard of smg's chart asks for these four.
    { name: "smg_requests_total", of: "requests", labels: { status: "status" } },
    { name: "smg_request_duration_seconds", of: "duration", labels: {} },
    { name: "smg_active_workers", of: "workerUp", labels: {} },
    { name: "smg_queue_depth", of: "queueDepth", labels: {} },
  ],
  vllm: [
    { name: "vllm:num_requests_running", of: "inFlight", labels: MODEL },
    // One series without labels: production-stack's ScaledObject asks for it without a sum.
    { name: "vllm:num_requests_waiting", of: "queueDepth", labels: {} },
    { name: "vllm:num_requests_waiting", of: "engineWaiting", labels: {} },
    { name: "vllm:kv_cache_usage_perc", of: "engineKvUsage", labels: MODEL, combine: "mean" },
    { name: "vllm:gpu_cache_usage_perc", of: "engineKvUsage", labels: MODEL, combine: "mean" },
    { name: "vllm:prefix_cache_hits_total", of: "cachedTokens", labels: MODEL },
    { name: "vllm:prefix_cache_queries_total", of: "promptTokens", labels: MODEL },
    { name: "vllm:gpu_prefix_cache_hits_total", of: "cachedTokens", labels: MODEL },
    { name: "vllm:gpu_prefix_cache_queries_total", of: "promptTokens", labels: MODEL },
    { name: "vllm:prompt_tokens_total", of: "promptTokens", labels: MODEL },
    { name: "vllm:generation_tokens_total", of: "completionTokens", labels: MODEL },
    { name: "vllm:time_to_first_token_seconds", of: "timeToFirstToken", labels: MODEL },
    { name: "vllm:request_time_per_output_token_seconds", of: "timePerOutputToken", labels: MODEL },
    { name: "vllm:e2e_request_latency_seconds", of: "duration", labels: MODEL },
    // production-stack's router names a worker `server`, and counts what keeps a model from being scaled to nothing.
    { name: "vllm:num_incoming_requests_total", of: "requests", labels: { model: "model" } },
    { name: "vllm:input_tokens_total", of: "promptTokens", labels: { server: "worker", model: "model" } },
    { name: "vllm:output_tokens_total", of: "completionTokens", labels: { server: "worker", model: "model" } },
    { name: "vllm:healthy_pods_total", of: "workerUp", labels: { server: "worker" } },
  ],
  "llm-d": [
    ...LLM_D.flatMap(([now, before, row]) => [
      { ...row, name: `llm_d_epp_${now}` },
      ...(before === undefined ? [] : [{ ...row, name: before }]),
    ]),
    // Older names whose labels are others.
    { name: "inference_objective_running_requests", of: "inFlight", labels: MODEL },
    {
      name: "inference_pool_per_pod_queue_size",
      of: "engineWaiting",
      labels: { ...POOL, model_server_pod: "worker" },
    },
  ],
};
