import type { MetricName } from "./metrics-table.ts";

/** Whose names of metrics are given beside the gateway's own. */
export type CompatSet = "smg" | "vllm" | "llm-d";

/** A metric under another program's name. Its values are those of our own metric, added up over the labels that it does not have. */
export interface CompatRow {
  readonly name: string;
  readonly of: MetricName;
  /** Each label of the other program: the label of ours that has its value, or a text that is always the same, behind `=`. */
  readonly labels: Readonly<Record<string, string>>;
  /** Values of the other program for values of ours, where they differ. */
  readonly values?: Readonly<Record<number, number>>;
}

const MODEL = { model_name: "model" };
/** The gateway has no names for the tiers of callers. */
const NO_TIER = { fairness_id: "=", priority: "=" };

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
  ],
  vllm: [
    { name: "vllm:num_requests_running", of: "inFlight", labels: MODEL },
    { name: "vllm:num_requests_waiting", of: "queueDepth", labels: {} },
    { name: "vllm:prompt_tokens_total", of: "promptTokens", labels: MODEL },
    { name: "vllm:generation_tokens_total", of: "completionTokens", labels: MODEL },
    { name: "vllm:time_to_first_token_seconds", of: "timeToFirstToken", labels: MODEL },
    { name: "vllm:request_time_per_output_token_seconds", of: "timePerOutputToken", labels: MODEL },
    { name: "vllm:e2e_request_latency_seconds", of: "duration", labels: MODEL },
    // production-stack's router names a worker `server`.
    { name: "vllm:healthy_pods_total", of: "workerUp", labels: { server: "worker" } },
  ],
  "llm-d": [
    { name: "llm_d_epp_request_total", of: "requests", labels: { ...MODEL, target_model_name: "model" } },
    {
      name: "llm_d_epp_request_ttft_seconds",
      of: "timeToFirstToken",
      labels: { ...MODEL, target_model_name: "model" },
    },
    {
      name: "llm_d_epp_request_running",
      of: "inFlight",
      labels: { ...MODEL, target_model_name: "model", ...NO_TIER },
    },
    { name: "llm_d_epp_ready_endpoints", of: "workerUp", labels: { name: "=pointsman" } },
    { name: "llm_d_epp_flow_control_queue_size", of: "queueDepth", labels: NO_TIER },
  ],
};
