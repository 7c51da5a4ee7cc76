/**
 * One row for each metric; `docs/metrics.md` is generated from them. Labels are bounded: a model that no worker serves, and
 * models and workers beyond the bound, count as `other`.
 */
export interface MetricRow {
  readonly name: string;
  readonly kind: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  /** How the values of several threads, and of models and workers that count as `other`, become one: `max` takes the largest. Without it they are added. */
  readonly over?: "max";
  /** Upper bounds of the buckets, in the unit of the metric, ascending, without +Inf. */
  readonly buckets?: readonly number[];
  /**
   * Labels of the series that are there from the start, with 0, in the order of `labels`: `increase()` does not see a series that begins
   * with 1, so an alert on it would miss the first time.
   */
  readonly from?: readonly (readonly string[])[];
}

const DURATION_BUCKETS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
const TTFT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const RATIO_BUCKETS = [0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10];
const TPOT_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1];

/** The rows by the name that the code uses. */
export const METRICS = {
  requests: {
    name: "pointsman_requests_total",
    kind: "counter",
    help: "Requests answered, by endpoint, model and the status that the client got (499: the client left).",
    labels: ["endpoint", "model", "status"],
  },
  errors: {
    name: "pointsman_request_errors_total",
    kind: "counter",
    help: "Requests that ended with an error, by its code in the errors table. Errors within a stream count too.",
    labels: ["endpoint", "model", "code"],
  },
  duration: {
    name: "pointsman_request_duration_seconds",
    kind: "histogram",
    help: "Time from the request's head to the last byte of the answer.",
    labels: ["endpoint", "model"],
    buckets: DURATION_BUCKETS,
  },
  timeToFirstToken: {
    name: "pointsman_time_to_first_token_seconds",
    kind: "histogram",
    help: "Streams: time from the request's head to the first event.",
    labels: ["model", "worker"],
    buckets: TTFT_BUCKETS,
  },
  timePerOutputToken: {
    name: "pointsman_time_per_output_token_seconds",
    kind: "histogram",
    help: "Streams: time between the first and the last event, divided by the tokens after the first.",
    labels: ["model", "worker"],
    buckets: TPOT_BUCKETS,
  },
  ttftPredictionError: {
    name: "pointsman_ttft_prediction_error",
    kind: "histogram",
    help: "Time from the send to the first token, divided by the time that the policy predicted: 1 is right, 2 is twice as late, 0.5 twice as early. For streams and prefill workers, with policies that predict. One that ended without a first token counts with the time until its end, if that is later than predicted.",
    labels: ["model", "worker"],
    buckets: RATIO_BUCKETS,
  },
  ttftPredictionErrorSeconds: {
    name: "pointsman_ttft_prediction_error_seconds_total",
    kind: "counter",
    help: "Seconds by which first tokens came later than predicted (direction `late`), and earlier (`early`). The difference of the two for each request is the bias, the sum the mean error.",
    labels: ["model", "worker", "direction"],
  },
  predictedCachedTokens: {
    name: "pointsman_predicted_cached_prompt_tokens_total",
    kind: "counter",
    help: "Prompt tokens that the policy expected in the worker's prefix cache, of requests whose answers say how many were there.",
    labels: ["model", "worker"],
  },
  foundCachedTokens: {
    name: "pointsman_found_cached_prompt_tokens_total",
    kind: "counter",
    help: "Prompt tokens that were there, of the same requests. Divided by the predicted ones: 1 is right.",
    labels: ["model", "worker"],
  },
  promptTokens: {
    name: "pointsman_prompt_tokens_total",
    kind: "counter",
    help: "Prompt tokens, as the workers counted them.",
    labels: ["model", "worker"],
  },
  cachedTokens: {
    name: "pointsman_cached_prompt_tokens_total",
    kind: "counter",
    help: "Prompt tokens in the worker's prefix cache, as the workers counted them.",
    labels: ["model", "worker"],
  },
  completionTokens: {
    name: "pointsman_completion_tokens_total",
    kind: "counter",
    help: "Generated tokens, as the workers counted them; events of the stream, where they did not.",
    labels: ["model", "worker"],
  },
  addedEndMarkers: {
    name: "pointsman_added_end_markers_total",
    kind: "counter",
    help: "Streams that ended without their end marker although the worker had given a finish reason. The gateway added the marker, and they count as complete.",
    labels: ["model", "worker"],
  },
  attempts: {
    name: "pointsman_worker_attempts_total",
    kind: "counter",
    help: "Requests sent to a worker, by how the attempt ended: `ok` or a code of the errors table.",
    labels: ["model", "worker", "outcome"],
  },
  retries: {
    name: "pointsman_retries_total",
    kind: "counter",
    help: "Second attempts, by the code of the error that made them necessary.",
    labels: ["code"],
  },
  modelRoutes: {
    name: "pointsman_model_route_requests_total",
    kind: "counter",
    help: "Models that were asked for a request to a route, by the outcome: answered, passed_on (it could not answer, and the next fallback was asked) or failed (the client got its error).",
    labels: ["route", "model", "outcome"],
  },
  continuations: {
    name: "pointsman_stream_continuations_total",
    kind: "counter",
    help: "Streams that another worker continued, by the code of the error that ended the first part.",
    labels: ["code"],
  },
  kvTransfers: {
    name: "pointsman_kv_transfers_total",
    kind: "counter",
    help: "Requests with prefill and decode apart, by what became of the KV cache: handed_over, failed, missing (prefill did not say where it is), skipped (several sequences) or not_needed (a separate prefill would have cost more). With the last three the decode worker prefills.",
    labels: ["model", "connector", "outcome"],
  },
  prefillDuration: {
    name: "pointsman_prefill_duration_seconds",
    kind: "histogram",
    help: "Requests with prefill and decode apart: time from the send to the prefill worker to the end of its answer.",
    labels: ["model"],
    buckets: TTFT_BUCKETS,
  },
  spans: {
    name: "pointsman_spans_total",
    kind: "counter",
    help: "Spans of traced requests, by what became of them: `sent` to the collector, or `dropped` (the collector does not take them, or is too slow).",
    labels: ["outcome"],
  },
  recordedRequests: {
    name: "pointsman_recorded_requests_total",
    kind: "counter",
    help: "Requests for the file of `--record`, by what became of them: `kept`, `dropped` (the disk is too slow or has failed), `full` (the file has its full size).",
    labels: ["outcome"],
  },
  shadowChoices: {
    name: "pointsman_shadow_choices_total",
    kind: "counter",
    help: "Choices of the shadow policy (label `policy`) beside the real one, by how they compare: same (it would have chosen the same worker), other, none (it would have chosen nobody), failed.",
    labels: ["model", "policy", "choice"],
  },
  shadowPriced: {
    name: "pointsman_shadow_priced_choices_total",
    kind: "counter",
    help: "Choices of the shadow policy whose cost is known, and that of the real choice: by these the two sums of pointsman_shadow_cost_seconds_total are to be divided.",
    labels: ["model", "policy"],
  },
  shadowCosts: {
    name: "pointsman_shadow_cost_seconds_total",
    kind: "counter",
    help: "Expected cost of the choices: seconds to the first token, with what the request costs those around it. Of those that the real policy made (choice `real`), and of those that the shadow would have made (`shadow`).",
    labels: ["model", "policy", "choice"],
  },
  threadRestarts: {
    name: "pointsman_thread_restarts_total",
    kind: "counter",
    help: "Threads that died and were started again.",
    labels: [],
  },
  inFlight: {
    name: "pointsman_requests_in_flight",
    kind: "gauge",
    help: "Requests that a worker has and has not finished yet.",
    labels: ["model", "worker"],
  },
  engineRunning: {
    name: "pointsman_engine_running_requests",
    kind: "gauge",
    help: "Requests that the worker's engine computes, by its own report. Only for engines that report their load, and only where they are asked (`engine_load_interval_secs`).",
    labels: ["model", "worker"],
  },
  engineWaiting: {
    name: "pointsman_engine_waiting_requests",
    kind: "gauge",
    help: "Requests that wait within the worker's engine, by its own report, likewise.",
    labels: ["model", "worker"],
  },
  engineKvUsage: {
    name: "pointsman_engine_kv_usage_ratio",
    kind: "gauge",
    help: "Share of the engine's KV cache that running requests take, 0 to 1, by its own report, likewise.",
    labels: ["model", "worker"],
    over: "max",
  },
  workerSaturation: {
    name: "pointsman_worker_saturation",
    kind: "gauge",
    help: "How full a ready worker is; from 1 on, more requests only wait. By the engine's report (source `engine`) the larger of its waiting requests / 5 and its KV usage / 0.8, as llm-d has it. Without a report (source `gateway`) the prompt tokens of its requests in flight / 0.8 of what its KV cache holds. Not there where the gateway knows neither.",
    labels: ["model", "worker", "source"],
    over: "max",
  },
  saturation: {
    name: "pointsman_saturation",
    kind: "gauge",
    help: "Mean of pointsman_worker_saturation over a model's workers that take requests, by stage: prefill; decode (also workers that do both); effective, the larger of the two. `effective` is 1 where no worker takes requests.",
    labels: ["model", "stage"],
    over: "max",
  },
  workers: {
    name: "pointsman_workers",
    kind: "gauge",
    help: "Workers by status: pending, ready, not_ready, failed, draining.",
    labels: ["status"],
  },
  breakerState: {
    name: "pointsman_breaker_state",
    kind: "gauge",
    help: "Circuit breaker of a worker: 0 closed, 1 half-open, 2 open.",
    labels: ["worker"],
    over: "max",
  },
  ejections: {
    name: "pointsman_worker_ejections_total",
    kind: "counter",
    help: "Times that a worker was left out, by reason: faults (its breaker opened), failures (it failed where the others did not), credential (it refused the gateway's).",
    labels: ["worker", "reason"],
  },
  ejectionsLimited: {
    name: "pointsman_ejections_limited_total",
    kind: "counter",
    help: "Times that a failing worker was not ejected, because as many of the model's workers as the limit allows were already left out.",
    labels: ["model"],
  },
  kubernetesPods: {
    name: "pointsman_kubernetes_pods",
    kind: "gauge",
    help: "Pods that the selectors choose (`seen`), and those of them that have a worker (`chosen`); the log says why the others have none.",
    labels: ["state"],
  },
  sourceUp: {
    name: "pointsman_worker_source_up",
    kind: "gauge",
    help: "1 while a source of workers says which it wants; 0 while it is away, for example because an API server does not answer. Its workers stay.",
    labels: ["source"],
  },
  sourceHeard: {
    name: "pointsman_worker_source_last_heard_timestamp_seconds",
    kind: "gauge",
    help: "When a source of workers last heard that its workers are so: an answer of the DNS, a word of the API server. In a quiet cluster that is at most five minutes ago; longer, and the gateway is deaf to what happens there. In Unix seconds.",
    labels: ["source"],
  },
  workerUp: {
    name: "pointsman_worker_up",
    kind: "gauge",
    help: "1 while the worker takes requests: it is ready, it is not cordoned, and it is not left out for failed requests. Otherwise 0; `GET /workers` says why.",
    labels: ["worker"],
  },
  cacheTrust: {
    name: "pointsman_cache_trust",
    kind: "gauge",
    help: "Share of what was predicted of the worker's prefix cache that the worker found there of late, 0.1 to 1, the lowest over its models. Policies that predict multiply by it. 1 until a worker has found less.",
    labels: ["worker"],
    over: "max",
  },
  workersOut: {
    name: "pointsman_worker_out",
    kind: "gauge",
    help: "1 for each ready worker that is left out, by reason: faults, failures, suspected (it may be ejected), credential, busy (it asked to rest), cordoned (an operator or its source gives it no new requests).",
    labels: ["worker", "reason"],
  },
  panic: {
    name: "pointsman_panic",
    kind: "gauge",
    help: "1 for each model that has too few workers left, so that the gateway also asks workers that are left out for failures.",
    labels: ["model"],
  },
  sessions: {
    name: "pointsman_sessions",
    kind: "gauge",
    help: "Sessions whose worker is remembered, by model and role: with `sticky_sessions`, or with a policy that remembers them.",
    labels: ["model", "role"],
  },
  sessionRequests: {
    name: "pointsman_session_requests_total",
    kind: "counter",
    help: "Requests of these sessions, by what became of the session: kept (its worker got the request), new, lost (its worker could not take the request), moved (staying would have cost more than leaving); and finished, by a client's word.",
    labels: ["model", "role", "outcome"],
  },
  policyLacks: {
    name: "pointsman_policy_signal_missing",
    kind: "gauge",
    help: "1 while most requests of a model lack a signal that its policy needs to choose well; `GET /policies` says what the policy does instead.",
    labels: ["model", "role", "policy", "signal"],
  },
  policyWithout: {
    name: "pointsman_policy_requests_without_signal_total",
    kind: "counter",
    help: "Requests for which a policy had to do without a signal that it needs to choose well.",
    labels: ["model", "role", "policy", "signal"],
  },
  admitted: {
    name: "pointsman_admitted_requests",
    kind: "gauge",
    help: "Requests that were admitted and have not ended.",
    labels: [],
  },
  queueDepth: {
    name: "pointsman_queue_depth",
    kind: "gauge",
    help: "Requests that wait for admission.",
    labels: [],
  },
  loopDelay: {
    name: "pointsman_event_loop_delay_seconds",
    kind: "gauge",
    help: "How late the event loop is: nine in ten measurements of the last second were no later. With several threads, the latest thread.",
    labels: [],
    over: "max",
  },
  clientConnections: {
    name: "pointsman_client_connections",
    kind: "gauge",
    help: "Open connections of clients to the main port, including idle ones.",
    labels: [],
  },
  refusals: {
    name: "pointsman_refused_total",
    kind: "counter",
    help: "Connections or bytes that were refused before a request was read, by code. No other metric counts them.",
    labels: ["code"],
  },
  tlsHandshakes: {
    name: "pointsman_tls_handshakes_total",
    kind: "counter",
    help: "TLS handshakes of clients, by result: ok; client_refused (the client does not accept the gateway's certificate), client_left, no_certificate and bad_certificate (of the client), protocol (no version or protocol in common), malformed, plain_http (a request without TLS), timeout, crowded_out (too many were unfinished).",
    labels: ["result"],
  },
  certificateExpiry: {
    name: "pointsman_certificate_expiry_seconds",
    kind: "gauge",
    help: "Time until a certificate of the gateway expires; negative once it has. Divided by 86400: days.",
    labels: ["use", "path"],
  },
  upstreamSockets: {
    name: "pointsman_upstream_sockets",
    kind: "gauge",
    help: "Open sockets to workers.",
    labels: [],
  },
  promptTokenizations: {
    name: "pointsman_prompt_tokenizations_total",
    kind: "counter",
    help: "Prompts for HTTP workers with KV events, by how the policy got them: tokens; or text, because the model has no_tokenizer, the prompt was not_rendered, or the gateway's count of tokens differs from the engine's.",
    labels: ["model", "outcome"],
  },
  kvEventsExact: {
    name: "pointsman_kv_events_exact",
    kind: "gauge",
    help: "1 while all KV events of the worker have come, so that its cache is known exactly; 0 while the gateway goes by what it sent. Only for workers whose events are followed.",
    labels: ["worker"],
  },
  kvEventBatches: {
    name: "pointsman_kv_event_batches_total",
    kind: "counter",
    help: "Batches of KV events that were taken in.",
    labels: ["worker"],
  },
  kvEventGaps: {
    name: "pointsman_kv_event_gaps_total",
    kind: "counter",
    help: "Times that batches of KV events were missing. They are asked for where the engine has a replay endpoint.",
    labels: ["worker"],
  },
  kvEventRestarts: {
    name: "pointsman_kv_event_restarts_total",
    kind: "counter",
    help: "Times that a worker's KV events began anew, because its engine was restarted.",
    labels: ["worker"],
  },
  kvEventBlocks: {
    name: "pointsman_kv_event_blocks",
    kind: "gauge",
    help: "Blocks of the engine's own size that the worker's cache holds, by its KV events.",
    labels: ["worker"],
  },
  kvEventBytes: {
    name: "pointsman_kv_event_bytes",
    kind: "gauge",
    help: "Memory of the gateway for what the worker's KV events tell.",
    labels: ["worker"],
  },
  residentBytes: {
    name: "process_resident_memory_bytes",
    kind: "gauge",
    help: "Resident memory of the gateway.",
    labels: [],
  },
  cpuSeconds: {
    name: "process_cpu_seconds_total",
    kind: "counter",
    help: "CPU time of the gateway, user and system.",
    labels: [],
  },
  configVersion: {
    name: "pointsman_config_version",
    kind: "gauge",
    help: "Version of the configuration in force: 1 at the start, one more with each change.",
    labels: [],
  },
  configLastSuccess: {
    name: "pointsman_config_last_success_timestamp_seconds",
    kind: "gauge",
    help: "When a configuration was last carried out, or found to be the one in force, in seconds since 1970.",
    labels: [],
  },
  configFailures: {
    name: "pointsman_config_failures_total",
    kind: "counter",
    help: "Changes of the configuration that were refused or not carried out, by the way that they came: signal, file, api.",
    labels: ["via"],
    from: [["signal"], ["file"], ["api"]],
  },
  configDiffers: {
    name: "pointsman_config_differs_from_file",
    kind: "gauge",
    help: "1 while the configuration in force is not what the file says: changed over the API, or the file was refused.",
    labels: [],
  },
  keyRequests: {
    name: "pointsman_key_requests_total",
    kind: "counter",
    help: "Requests by the name of the caller's key: served, or failed for any reason. Keys beyond `metrics_keys` are `other`. Counted within a second.",
    labels: ["key", "outcome"],
  },
  keyTokens: {
    name: "pointsman_key_tokens_total",
    kind: "counter",
    help: "Tokens by the name of the caller's key, of prompts and completions, as the workers reported them.",
    labels: ["key", "kind"],
  },
  buildInfo: {
    name: "pointsman_build_info",
    kind: "gauge",
    help: "1, with the version as label.",
    labels: ["version"],
  },
} as const satisfies Record<string, MetricRow>;

/** The name of a metric in the code. */
export type MetricName = keyof typeof METRICS;

type NameOf<Kind extends MetricRow["kind"]> = {
  [Name in MetricName]: (typeof METRICS)[Name]["kind"] extends Kind ? Name : never;
}[MetricName];

export type CounterName = NameOf<"counter">;
export type HistogramName = NameOf<"histogram">;

/** A value for each label of the metric's row. */
export type LabelsOf<Name extends MetricName> = Readonly<Record<(typeof METRICS)[Name]["labels"][number], string>>;
