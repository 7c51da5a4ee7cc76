import { describe, expect, test } from "bun:test";
import { notBuiltFlags, whyNotBuilt } from "../../src/config/launch-flags.ts";
import { flagName, optionDefault } from "../../src/config/options.ts";
import { type ConfigKey, configSchema, optionMeta } from "../../src/config/schema.ts";

/** What users of sglang-router and smg have in their scripts: each flag is taken or refused with a sentence. */

const KEYS = Object.keys(configSchema.shape) as ConfigKey[];
const TAKEN = new Set(
  KEYS.flatMap((key) => (optionMeta(key).fileOnly ? [] : [flagName(key), ...(optionMeta(key).aliases ?? [])])),
);

test("flags of other gateways that are refused", () => {
  const refused = notBuiltFlags().flatMap(([, flags]) => flags);
  expect(refused.sort().join(" ")).toBe(
    "assignment-mode backend balance-token-usage-threshold block-size connection-mode control-plane-api-keys decode-selector disable-audit-logging disable-tokenizer-autoload dp-aware dp-minimum-tokens-scheduler enable-mesh enable-trace enable-wasm encode encode-policy encode-selector engine-metrics epd-disaggregation eviction-interval health-check-port history-backend jwt-audience jwt-issuer jwt-jwks-uri jwt-role-claim jwt-role-mapping least-load-default-throughput least-load-kv-pressure-weight least-load-mean-prefill-tokens load-monitor-interval log-dir log-json max-idle-secs mcp-config-path mesh-advertise-host mesh-host mesh-peer-urls mesh-port mesh-server-name mini-lb model-alias model-id-from multimodal-shm-min-bytes multimodal-tensor-transport oracle-dsn oracle-password oracle-pool-max oracle-pool-min oracle-pool-timeout-secs oracle-tns-alias oracle-username oracle-wallet-path otlp-traces-endpoint overload-token-usage-threshold postgres-db-url postgres-pool-max-size prefill-bootstrap-port-annotation prefill-selector prefix-hash-load-factor prefix-token-count priority-scheduler-config priority-scheduler-default-max-class priority-scheduler-enabled priority-scheduler-tenant-metric-top-n prometheus-duration-buckets rate-limit-tokens-per-second redis-pool-max-size redis-retention-days redis-url router-selector routing-key-override runtime runtime-worker-threads schema-config selector service-discovery service-discovery-namespace service-discovery-port storage-context-headers storage-hook-wasm-path tenant-api-key tenant-header-name tenant-rate-limit-config tenant-rate-limit-enabled tls-cert-path tls-key-path tokenizer-cache-enable-l0 tokenizer-cache-enable-l1 tokenizer-cache-l0-max-entries trust-tenant-header webrtc-bind-addr webrtc-stun-server worker-startup-delay",
  );
});

test("no flag is both taken and refused, or refused twice", () => {
  const refused = notBuiltFlags().flatMap(([, flags]) => flags.map((flag) => `--${flag}`));
  expect(refused.filter((flag) => TAKEN.has(flag))).toEqual([]);
  expect(new Set(refused).size).toBe(refused.length);
});

test("what is refused has a sentence", () => {
  expect(whyNotBuilt("--connection-mode")).toBe(
    "whether a worker speaks HTTP or gRPC is said by its url: http:// or grpc://",
  );
  expect(whyNotBuilt("--port")).toBeUndefined();
  for (const [reason] of notBuiltFlags()) expect(reason.length).toBeGreaterThan(10);
});

/** Defaults of smg 1.9, which a script that swaps the binary relies on without naming them. */
const FIELD_DEFAULTS: Readonly<Partial<Record<ConfigKey, unknown>>> = {
  port: 30_000,
  defaultPolicy: "cache_aware",
  cacheThreshold: 0.3,
  balanceAbsThreshold: 64,
  balanceRelThreshold: 1.5,
  maxTreeSize: 67_108_864,
  enableIgw: false,
  workerStartupTimeoutSecs: 1800,
  requestTimeoutSecs: 1800,
  shutdownGracePeriodSecs: 180,
  maxConcurrentRequests: -1,
  queueSize: 100,
  queueTimeoutSecs: 60,
  retryBackoffMultiplier: 1.5,
  retryInitialBackoffMs: 50,
  retryJitterFactor: 0.2,
  retryMaxBackoffMs: 30_000,
  disableRetries: false,
  cbFailureThreshold: 10,
  cbSuccessThreshold: 3,
  cbTimeoutDurationSecs: 60,
  cbWindowDurationSecs: 120,
  disableCircuitBreaker: false,
  healthFailureThreshold: 3,
  healthSuccessThreshold: 2,
  healthCheckTimeoutSecs: 5,
  healthCheckEndpoint: "/health",
  disableHealthCheck: false,
  removeUnhealthyWorkers: false,
  requestIdHeaders: ["x-request-id", "x-correlation-id", "x-trace-id", "request-id"],
  logLevel: "info",
  prometheusHost: "0.0.0.0",
  prometheusPort: 29_000,
};

/** Where ours is another one on purpose; the description of the option says why. */
const OWN_DEFAULTS: Readonly<Partial<Record<ConfigKey, unknown>>> = {
  maxPayloadSize: 67_108_864,
  corsAllowedOrigins: [],
  retryMaxRetries: 1,
  drainTimeoutSecs: 180,
  healthCheckIntervalSecs: 10,
  workerStartupCheckInterval: 1,
  connectTimeoutSecs: 2,
  firstByteTimeoutSecs: 600,
  idleTimeoutSecs: 120,
  forwardHeaders: [],
  // The field listens on all interfaces, its administration with it.
  host: "127.0.0.1",
  adminHost: "127.0.0.1",
  apiKeys: [],
  threads: 1,
  reusePort: false,
  maxConcurrentRequestsPerModel: -1,
  maxRequestBytesInFlight: 1_073_741_824,
  maxEventLoopDelayMs: 500,
  maxConnectionsPerClient: 0,
  maxConnectionsPerWorker: 8192,
  bodyStallTimeoutSecs: 30,
  outlierFailureThreshold: 5,
  outlierEjectionSecs: 30,
  outlierMaxEjectionPercent: 50,
  slowStartSecs: 30,
  shutdownDelaySecs: 5,
  streamKeepAliveSecs: 15,
  clientStallTimeoutSecs: 120,
  clientIdleTimeoutSecs: 120,
  continueStreams: [],
  parseOutput: [],
  pdDisaggregation: false,
  enableGrpc: false,
  tokenizerCacheBytes: 52_428_800,
};

describe("defaults", () => {
  for (const [key, value] of Object.entries({ ...FIELD_DEFAULTS, ...OWN_DEFAULTS })) {
    test(key, () => expect(optionDefault(key as ConfigKey)).toEqual(value));
  }

  test("that are not pinned above are none", () => {
    const pinned = new Set([...Object.keys(FIELD_DEFAULTS), ...Object.keys(OWN_DEFAULTS)]);
    const others = KEYS.filter((key) => !pinned.has(key));
    expect(others.sort()).toEqual([
      "adminApiKey",
      "adminPort",
      "apiKey",
      "chatTemplate",
      "decodePolicy",
      "initialWorkers",
      "maxResidentBytes",
      "modelPath",
      "modelPolicies",
      "policyModule",
      "prefillPolicy",
      "reasoningParser",
      "tokenizerFolder",
      "tokenizerPath",
      "toolCallParser",
      "workerApiKey",
    ]);
  });
});
