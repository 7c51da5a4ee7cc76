import { describe, expect, test } from "bun:test";
import { FOREIGN_FLAGS, type Outcome } from "../../src/config/launch-flags.ts";
import { flagName, optionDefault } from "../../src/config/options.ts";
import { type ConfigKey, configSchema, optionMeta } from "../../src/config/schema.ts";
import { fateOf } from "../../scripts/migration.ts";
import { PEERS } from "../../scripts/peer-flags.ts";

/** What users of other gateways have in their scripts: each flag is taken or refused with a sentence. */

const KEYS = Object.keys(configSchema.shape) as ConfigKey[];
const TAKEN = new Set(
  KEYS.flatMap((key) => (optionMeta(key).fileOnly ? [] : [flagName(key), ...(optionMeta(key).aliases ?? [])])),
);

/** Flags of each, from its own sources (August to September 2026), that are no options of ours under the same name. */
const FOREIGN: Readonly<Record<string, string>> = {
  "sglang-router":
    "backend control-plane-api-keys control-plane-audit-enabled decode-selector dp-aware enable-trace eviction-interval-secs history-backend jwt-audience jwt-issuer jwt-jwks-uri jwt-role-mapping log-dir mcp-config-path mini-lb oracle-connect-descriptor oracle-password oracle-pool-max oracle-pool-min oracle-pool-timeout-secs oracle-tns-alias oracle-username oracle-wallet-path otlp-traces-endpoint postgres-db-url postgres-pool-max prefill-selector prometheus-duration-buckets rate-limit-tokens-per-second redis-pool-max redis-retention-days redis-url selector service-discovery service-discovery-namespace service-discovery-port tokenizer-cache-enable-l0 tokenizer-cache-enable-l1 tokenizer-cache-l0-max-entries",
  smg: "discovery-provider discovery-file discovery-check-interval-secs balance-token-usage-threshold block-size cache-boundaries cache-index cache-match-threshold cache-ttl-secs connection-mode disable-audit-logging disable-load-monitoring disable-tokenizer-autoload dp-minimum-tokens-scheduler enable-mesh enable-rl enable-wasm encode encode-policy encode-selector engine-metrics epd-disaggregation eviction-interval health-check-port job-queue-capacity job-queue-concurrency jwt-role-claim kv-connector-annotation kv-engine-id-annotation kv-indexer-max-entries kv-indexer-ttl-secs least-load-default-throughput least-load-max-waiting-requests least-load-mean-prefill-tokens load-monitor-interval log-json log-mm-timing max-buffered-request-bytes mesh-advertise-host mesh-host mesh-peer-urls mesh-port mesh-server-name mm-per-request-image-limit mm-pixel-cache-mb mm-pixel-rdma mm-processing model-alias model-id-from multimodal-max-inflight-bytes multimodal-shm-min-bytes multimodal-tensor-transport oracle-dsn oracle-external-auth oracle-user overlap-decay overload-token-usage-threshold pd-admission-wait-secs pd-pairing-mode postgres-pool-max-size prefill-bootstrap-port-annotation priority-scheduler-config priority-scheduler-default-max-class priority-scheduler-enabled priority-scheduler-tenant-metric-top-n rdma-listen-ip rdma-slot-ttl-s redis-pool-max-size rl-control-timeout-secs rl-fanout-concurrency router-selector routing-key-headers runtime runtime-worker-threads schema-config selection-temperature spill-abs-threshold spill-rel-threshold storage-context-headers storage-hook-wasm-path stream-body-stall-timeout-secs tenant-api-key tenant-header-name tenant-rate-limit-config tenant-rate-limit-enabled trust-tenant-header upstream-http2 upstream-pool-idle-timeout-secs webrtc-bind-addr webrtc-stun-server worker-auto-recovery worker-overload-protection worker-overload-token-usage worker-overload-waiting-requests worker-startup-delay zmq-engine-count worker-overload-shed limit-mm-per-prompt worker-warmup-secs worker-warmup-share worker-warmup-blocks worker-warmup-thin-ratio worker-warmup-divert-every worker-stall-secs worker-stale-secs worker-wedge-secs power-of-two-load-metric selection-accounting-ttl-ms selection-policy header-read-timeout-secs jemalloc-prof-dir kv-index tokenizer-cache-l0-max-memory mesh-tls-ca-cert mesh-tls-cert mesh-tls-key history-memory-max-items history-memory-max-responses history-memory-retention-secs max-background-responses postgres-op-timeout-secs redis-op-timeout-secs mm-allow-private-media-hosts mm-allowed-media-domains parser prefill-max-inflight-requests-per-worker prefill-queue-size prefill-queue-timeout-secs disable-worker-overload-protection sse-keepalive-secs idle-connection-timeout-secs",
  "vllm-router":
    "api-key-validation-urls enable-program-scheduling intra-node-data-parallel-size kv-block-size kv-connector kv-hash-seed mode otel-excluded-paths otel-sampling-ratio pd-uncached-token-threshold profile program-scheduling-config-json vllm-discovery-address vllm-pd-disaggregation wasm-middleware wasm-middleware-route wasm-middleware-sha256 kv-event-source kv-event-replay-source pd-kv-events kv-event-model kv-event-block-size kv-aware-session-affinity-ttl-secs kv-penalty-host kv-penalty-external kv-penalty-disk router-temperature",
  "production-stack":
    "backend-health-check-timeout-seconds batch-processor callbacks decode-model-labels dynamic-config-json dynamic-config-yaml enable-batch-api engine-stats-interval external-providers-config feature-gates file-storage-class file-storage-path k8s-label-selector k8s-namespace k8s-port k8s-service-discovery-type k8s-watcher-timeout-seconds kv-aware-threshold lmcache-controller-heartbeat-port lmcache-controller-port lmcache-controller-reply-port lmcache-health-check-interval lmcache-worker-timeout log-format log-stats log-stats-interval max-instance-failover-reroute-attempts otel-endpoint otel-secure otel-service-name prefill-model-labels prefix-min-match-length request-rewriter request-stats-window root-path routing-logic sentry-dsn sentry-profile-session-sample-rate sentry-traces-sample-rate session-key static-aliases static-backend-health-check-interval static-backend-health-check-timeout-seconds static-backend-health-checks static-model-labels static-model-types",
  LiteLLM: "debug detailed_debug num-workers num_workers",
};
const WORKERS = "decode decode-workers prefill prefill-workers static-backends static-models";

test("flags of other gateways are all taken or refused with a sentence", () => {
  const known = new Set([...TAKEN, ...FOREIGN_FLAGS.map(({ flag }) => flag)]);
  const pinned = Object.values(FOREIGN)
    .flatMap((flags) => flags.split(" "))
    .map((flag) => `--${flag}`);
  expect(pinned.filter((flag) => !known.has(flag))).toEqual([]);
  expect(FOREIGN_FLAGS.map(({ flag }) => flag).filter((flag) => !pinned.includes(flag))).toEqual([]);
});

test("each flag that the programs of other gateways name themselves has its place on the page for those who come from there", () => {
  const unknown = PEERS.flatMap(({ flags }) => flags.filter((flag) => fateOf(flag) === undefined));
  expect(unknown).toEqual([]);
});

test("no flag is known twice", () => {
  const flags = [...TAKEN, ...FOREIGN_FLAGS.map(({ flag }) => flag), ...WORKERS.split(" ").map((flag) => `--${flag}`)];
  expect(flags.filter((flag, index) => flags.indexOf(flag) !== index)).toEqual([]);
});

test("what is said of one is a sentence with a value of any kind", () => {
  for (const { flag, judge } of FOREIGN_FLAGS) {
    for (const value of ["", "1", "x", "k8s"]) {
      const { refusal, notice } = judge(value);
      for (const text of [refusal, notice])
        if (text !== undefined) expect([flag, text.length > 10]).toEqual([flag, true]);
      expect([flag, refusal === undefined || notice === undefined]).toEqual([flag, true]);
    }
  }
});

const judgeOf = (flag: string, value = ""): Outcome | undefined =>
  FOREIGN_FLAGS.find((foreign) => foreign.flag === flag)?.judge(value);

test("a flag that asks for what is not built is refused, and what only tunes it is not", () => {
  expect(judgeOf("--enable-mesh")?.refusal).toStartWith("several gateways that share state are not built yet");
  expect(judgeOf("--mesh-port", "1")?.notice).toBe("it belongs to --enable-mesh, and that is not built yet");
  expect(judgeOf("--service-discovery")?.sets).toEqual(["serviceDiscovery", true]);
  expect(judgeOf("--service-discovery", "external")?.refusal).toStartWith("must be nothing, k8s or static");
  expect(judgeOf("--service-discovery", "static")).toEqual({});
  expect(judgeOf("--dp-minimum-tokens-scheduler")?.notice).toStartWith("with --dp-aware the tokens that each");
  expect(judgeOf("--rate-limit-tokens-per-second", "0")).toEqual({});
  expect(judgeOf("--rate-limit-tokens-per-second", "5")?.refusal).toContain("requests_per_minute");
});

/** Defaults of smg 1.9, which a script that swaps the binary relies on without naming them. */
const FIELD_DEFAULTS: Readonly<Partial<Record<ConfigKey, unknown>>> = {
  port: 30_000,
  defaultPolicy: "least_ttft",
  cacheThreshold: 0.3,
  balanceAbsThreshold: 64,
  balanceRelThreshold: 1.5,
  maxTreeSize: 67_108_864,
  prefixTokenCount: 256,
  prefixHashLoadFactor: 1.25,
  prefixHashBalanceAbsThreshold: 10,
  bucketAdjustIntervalSecs: 5,
  maxIdleSecs: 14_400,
  assignmentMode: "random",
  leastLoadKvPressureWeight: 0.15,
  stickySessions: false,
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
  prometheusPort: 29_000,
};

/** Where ours is another one on purpose; the description of the option says why. */
const OWN_DEFAULTS: Readonly<Partial<Record<ConfigKey, unknown>>> = {
  logFormat: "auto",
  metricsCompat: [],
  maxPayloadSize: 67_108_864,
  watchConfig: false,
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
  auditLogMaxMb: 100,
  authFailuresPerMinute: 60,
  jwtAlgorithms: ["RS256", "ES256"],
  jwtMaxConcurrentRequests: 0,
  jwtModelsClaim: "models",
  jwtNameClaim: "sub",
  jwtRequestsPerMinute: 0,
  jwtRoleClaim: "roles",
  jwtRoleMapping: [],
  jwtTokensPerMinute: 0,
  metricsKeys: 50,
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
  modelAliases: [],
  modelRoutes: [],
  parseOutput: [],
  maxSessions: 65_536,
  stickyOverrideSecs: 1,
  pdDisaggregation: false,
  pdSkipPrefill: true,
  enableGrpc: false,
  tokenizerCacheBytes: 52_428_800,
  recordMaxMb: 1024,
  kvEventsMaxBytes: 134_217_728,
  kvEventsTopic: "",
  caCertPaths: [],
  tlsCertificates: [],
  tlsMinVersion: "1.2",
  adminTls: true,
  prometheusTls: false,
  decisionLogSize: 1000,
  serviceDiscovery: false,
  dpAware: false,
  selector: [],
  prefillSelector: [],
  workerDns: [],
  prefillDns: [],
  decodeDns: [],
  decodeSelector: [],
  serviceDiscoveryPort: 80,
  serviceDiscoveryNamespace: [],
  prefillBootstrapPortAnnotation: "sglang.ai/bootstrap-port",
  decisionExplainRatio: 0.01,
  sessionHeaders: [],
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
      "adminApiKeyFile",
      "adminPort",
      "adminTlsClientCaPath",
      "apiKey",
      "apiKeyFile",
      "auditLog",
      "chatTemplate",
      "clientCertPath",
      "clientKeyPath",
      "decodePolicy",
      "dpSize",
      "engineLoadIntervalSecs",
      "inferencePool",
      "initialWorkers",
      "jwtAudience",
      "jwtIssuer",
      "jwtJwksUri",
      "keyStore",
      "kubeconfig",
      "kvConnectorAnnotation",
      "kvEventsEndpoint",
      "kvEventsReplayEndpoint",
      "maxResidentBytes",
      "modelIdFrom",
      "modelPath",
      "modelPolicies",
      "policyModule",
      "prefillPolicy",
      "prometheusHost",
      "prometheusTlsClientCaPath",
      "reasoningParser",
      "record",
      "shadowPolicies",
      "shadowPolicy",
      "tlsCertPath",
      "tlsClientCaPath",
      "tlsKeyPath",
      "tokenizerFolder",
      "tokenizerPath",
      "toolCallParser",
      "tracesEndpoint",
      "tracesSampleRatio",
      "workerApiKey",
      "workerApiKeyFile",
      "workerServerName",
      "workersFile",
    ]);
  });
});
