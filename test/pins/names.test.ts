import { expect, test } from "bun:test";
import { flagName } from "../../src/config/options.ts";
import { type ConfigKey, configSchema, optionMeta } from "../../src/config/schema.ts";
import { ERRORS } from "../../src/errors/errors.ts";
import { METRICS } from "../../src/observability/metrics-table.ts";

/** What users have in scripts, alerts and dashboards. A red test asks: did you mean to? */

test("flags", () => {
  const keys = Object.keys(configSchema.shape) as ConfigKey[];
  const flags = keys.flatMap((key) =>
    optionMeta(key).fileOnly ? [] : [flagName(key), ...(optionMeta(key).aliases ?? [])],
  );
  expect(flags.sort().join(" ")).toBe(
    "--admin-api-key --admin-host --admin-port --api-key --backend-health-check-timeout-seconds --balance-abs-threshold --balance-rel-threshold --body-stall-timeout-secs --bucket-adjust-interval-secs --cache-match-threshold --cache-threshold --cb-failure-threshold --cb-success-threshold --cb-timeout-duration-secs --cb-window-duration-secs --chat-template --client-idle-timeout-secs --client-stall-timeout-secs --connect-timeout-secs --continue-streams --cors-allowed-origins --decision-explain-ratio --decision-log-size --decode-policy --disable-circuit-breaker --disable-health-check --disable-retries --drain-settle-secs --drain-timeout-secs --enable-grpc --enable-igw --first-byte-timeout-secs --forward-headers --health-check-endpoint --health-check-interval-secs --health-check-timeout-secs --health-failure-threshold --health-success-threshold --host --idle-timeout-secs --log-level --max-concurrent-requests --max-concurrent-requests-per-model --max-connections-per-client --max-connections-per-worker --max-event-loop-delay-ms --max-instance-failover-reroute-attempts --max-payload-size --max-request-bytes-in-flight --max-resident-bytes --max-tree-size --model --model-alias --model-path --outlier-ejection-secs --outlier-failure-threshold --outlier-max-ejection-percent --parse-output --pd-disaggregation --policy --policy-module --port --prefill-policy --prefix-hash-balance-abs-threshold --prefix-hash-load-factor --prefix-token-count --prometheus-host --prometheus-port --queue-size --queue-timeout-secs --reasoning-parser --record --record-max-mb --remove-unhealthy-workers --request-id-headers --request-timeout-secs --retry-backoff-multiplier --retry-initial-backoff-ms --retry-jitter-factor --retry-max-backoff-ms --retry-max-retries --reuse-port --shutdown-delay-secs --shutdown-grace-period-secs --slow-start-secs --spill-abs-threshold --spill-rel-threshold --static-aliases --static-backend-health-check-interval --static-backend-health-check-timeout-seconds --stream-body-stall-timeout-secs --stream-keep-alive-secs --threads --tokenizer-cache-bytes --tokenizer-cache-l1-max-memory --tokenizer-folder --tokenizer-path --tool-call-parser --vllm-pd-disaggregation --worker --worker-api-key --worker-auto-recovery --worker-startup-check-interval --worker-startup-timeout-secs --worker-urls",
  );
});

test("metrics", () => {
  expect(Object.values(METRICS).map(({ name }) => name)).toEqual([
    "pointsman_requests_total",
    "pointsman_request_errors_total",
    "pointsman_request_duration_seconds",
    "pointsman_time_to_first_token_seconds",
    "pointsman_time_per_output_token_seconds",
    "pointsman_ttft_prediction_error",
    "pointsman_ttft_prediction_error_seconds_total",
    "pointsman_prompt_tokens_total",
    "pointsman_cached_prompt_tokens_total",
    "pointsman_completion_tokens_total",
    "pointsman_added_end_markers_total",
    "pointsman_worker_attempts_total",
    "pointsman_retries_total",
    "pointsman_model_route_requests_total",
    "pointsman_stream_continuations_total",
    "pointsman_kv_transfers_total",
    "pointsman_prefill_duration_seconds",
    "pointsman_recorded_requests_total",
    "pointsman_thread_restarts_total",
    "pointsman_requests_in_flight",
    "pointsman_workers",
    "pointsman_breaker_state",
    "pointsman_worker_ejections_total",
    "pointsman_ejections_limited_total",
    "pointsman_worker_up",
    "pointsman_worker_out",
    "pointsman_panic",
    "pointsman_admitted_requests",
    "pointsman_queue_depth",
    "pointsman_event_loop_delay_seconds",
    "pointsman_client_connections",
    "pointsman_refused_total",
    "pointsman_upstream_sockets",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "pointsman_build_info",
  ]);
});

test("error codes and their statuses", () => {
  expect(Object.entries(ERRORS).map(([code, row]) => `${row.http} ${code}`)).toEqual([
    "400 invalid_json",
    "400 invalid_body",
    "400 invalid_request",
    "400 missing_model",
    "400 forbidden_key",
    "400 malformed_request",
    "400 bad_host",
    "401 invalid_api_key",
    "403 forbidden",
    "404 model_not_found",
    "404 unknown_url",
    "404 tokenizer_not_found",
    "404 worker_not_found",
    "405 method_not_allowed",
    "426 websocket_unsupported",
    "408 request_timeout",
    "409 worker_exists",
    "413 request_too_large",
    "415 unsupported_media_type",
    "400 bad_content_encoding",
    "431 headers_too_large",
    "429 too_many_connections",
    "429 rate_limit_exceeded",
    "499 client_closed",
    "503 no_available_workers",
    "503 upstream_connections_full",
    "503 tokenizer_unavailable",
    "503 queue_full",
    "503 queue_timeout",
    "503 overloaded",
    "503 memory_full",
    "503 server_shutting_down",
    "505 unsupported_http_version",
    "501 not_implemented",
    "500 internal_error",
    "500 policy_failed",
    "502 upstream_connect_failed",
    "504 upstream_connect_timeout",
    "502 upstream_not_reached",
    "502 upstream_closed",
    "502 upstream_stale_socket",
    "504 upstream_timeout",
    "504 upstream_stalled",
    "502 upstream_truncated",
    "502 upstream_reset",
    "502 upstream_protocol_error",
    "502 invalid_upstream_response",
    "502 upstream_stream_error",
    "502 upstream_event_invalid",
    "502 upstream_event_too_large",
    "503 upstream_busy",
    "502 upstream_unavailable",
    "502 upstream_auth_failed",
    "404 upstream_model_missing",
    "501 upstream_unimplemented",
    "500 upstream_error",
    "400 upstream_rejected",
  ]);
});
