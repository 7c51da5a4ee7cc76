import type { ConfigKey } from "../config/schema.ts";
import { KUBERNETES_OPTIONS } from "../config/kubernetes-options.ts";
import { POLICY_OPTIONS } from "../config/policy-options.ts";
import { keysOf } from "../util/objects.ts";

/** The options that each part of a gateway takes at run time. `test/integration/reload.test.ts` compares them with the schema. */

export const POLICY_KEYS: readonly ConfigKey[] = [
  "defaultPolicy",
  "prefillPolicy",
  "decodePolicy",
  "modelPolicies",
  "stickySessions",
  "stickyOverrideSecs",
  "shadowPolicy",
  "shadowPolicies",
  ...keysOf(POLICY_OPTIONS),
];

export const WORKER_KEYS: readonly ConfigKey[] = ["initialWorkers", "workerApiKey", "workerApiKeyFile"];

/** Options of the names whose records are workers. */
export const DNS_KEYS: readonly ConfigKey[] = ["workerDns", "prefillDns", "decodeDns"];

/** Options of the file that names workers. */
export const FILE_KEYS: readonly ConfigKey[] = ["workersFile"];

/** Options of the pods that are workers. */
export const KUBERNETES_KEYS: readonly ConfigKey[] = keysOf(KUBERNETES_OPTIONS);

/** Options of the parts that watch over workers. */
export const CARE_KEYS: readonly ConfigKey[] = [
  "modelPath",
  "healthCheckEndpoint",
  "healthCheckIntervalSecs",
  "healthCheckTimeoutSecs",
  "healthFailureThreshold",
  "healthSuccessThreshold",
  "disableHealthCheck",
  "workerStartupTimeoutSecs",
  "workerStartupCheckInterval",
  "cbFailureThreshold",
  "cbSuccessThreshold",
  "cbTimeoutDurationSecs",
  "cbWindowDurationSecs",
  "outlierFailureThreshold",
  "outlierEjectionSecs",
  "slowStartSecs",
  "disableCircuitBreaker",
];

export const LOG_KEYS: readonly ConfigKey[] = ["logLevel"];

export const REGISTRY_KEYS: readonly ConfigKey[] = ["outlierMaxEjectionPercent"];

export const RANK_KEYS: readonly ConfigKey[] = ["dpAware", "dpSize"];

export const DEPARTURE_KEYS: readonly ConfigKey[] = ["drainTimeoutSecs", "removeUnhealthyWorkers"];

/** Options of what serves requests on one thread: routers, streams, admission by pressure, the listener. */
export const UNIT_KEYS: readonly ConfigKey[] = [
  "connectTimeoutSecs",
  "firstByteTimeoutSecs",
  "idleTimeoutSecs",
  "requestTimeoutSecs",
  "bodyStallTimeoutSecs",
  "streamKeepAliveSecs",
  "clientStallTimeoutSecs",
  "clientIdleTimeoutSecs",
  "maxConnectionsPerClient",
  "maxEventLoopDelayMs",
  "maxResidentBytes",
  "retryMaxRetries",
  "disableRetries",
  "retryInitialBackoffMs",
  "retryMaxBackoffMs",
  "retryBackoffMultiplier",
  "retryJitterFactor",
  "continueStreams",
  "pdSkipPrefill",
  "parseOutput",
  "chatTemplate",
  "toolCallParser",
  "reasoningParser",
  "tokenizerCacheBytes",
  "forwardHeaders",
  "requestIdHeaders",
  "sessionHeaders",
  "corsAllowedOrigins",
  "modelRoutes",
  "modelAliases",
  "decisionExplainRatio",
];

/** Options that say who may call. */
export const CALLER_KEYS: readonly ConfigKey[] = ["apiKey", "apiKeyFile", "apiKeys", "adminApiKey", "adminApiKeyFile"];

/** Options of the limits of each bearer of a token. */
export const BEARER_KEYS: readonly ConfigKey[] = [
  "jwtRequestsPerMinute",
  "jwtTokensPerMinute",
  "jwtMaxConcurrentRequests",
];

/** Options of the check of callers on each thread. */
export const AUTH_KEYS: readonly ConfigKey[] = ["authFailuresPerMinute"];

/** Options of the server on the control thread: how many at once. */
export const SERVER_KEYS: readonly ConfigKey[] = [
  "maxConcurrentRequests",
  "maxConcurrentRequestsPerModel",
  "queueSize",
  "queueTimeoutSecs",
];

export const TLS_KEYS: readonly ConfigKey[] = [
  "tlsCertPath",
  "tlsKeyPath",
  "tlsCertificates",
  "tlsClientCaPath",
  "tlsMinVersion",
  "adminTlsClientCaPath",
  "prometheusTlsClientCaPath",
  "caCertPaths",
  "clientCertPath",
  "clientKeyPath",
  "workerServerName",
];

/** Options that are read when the gateway ends. */
export const END_KEYS: readonly ConfigKey[] = ["shutdownDelaySecs", "shutdownGracePeriodSecs"];
