import type { ConfigKey } from "./schema.ts";

const PORTS = "ports are opened at the start";
const MEMORY = "memory is laid out at the start";
const THREADS = "threads are started once";
const KINDS = "the kinds of workers and models are settled at the start";
const TOKENIZERS = "tokenizers are loaded once";
const ISSUER = "the code for tokens is loaded at the start";
const RECORDING = "the file is opened at the start";
const TRACES = "the way to the collector is opened at the start";
const KV_EVENTS = "connections for KV events are opened once for each worker";

/** The options that a running gateway cannot change, with the reason. All others it takes at run time (`context/live-keys.ts`). */
export const NEEDS_RESTART: Readonly<Partial<Record<ConfigKey, string>>> = {
  host: PORTS,
  port: PORTS,
  adminPort: PORTS,
  adminHost: PORTS,
  watchConfig: "the watch begins at the start",
  reusePort: PORTS,
  adminTls: PORTS,
  prometheusTls: PORTS,
  prometheusHost: PORTS,
  prometheusPort: PORTS,
  threads: THREADS,
  maxPayloadSize: MEMORY,
  maxRequestBytesInFlight: MEMORY,
  maxConnectionsPerWorker: MEMORY,
  decisionLogSize: MEMORY,
  metricsCompat: "names of metrics are settled at the start",
  engineLoadIntervalSecs: "the questions to engines begin at the start",
  logFormat: "each thread has the form of its lines from the start",
  enableIgw: KINDS,
  pdDisaggregation: KINDS,
  enableGrpc: TOKENIZERS,
  tokenizerPath: TOKENIZERS,
  tokenizerFolder: TOKENIZERS,
  policyModule: "the code of a module is loaded once",
  jwtIssuer: ISSUER,
  jwtAudience: ISSUER,
  jwtJwksUri: ISSUER,
  jwtAlgorithms: ISSUER,
  jwtNameClaim: ISSUER,
  jwtRoleClaim: ISSUER,
  jwtRoleMapping: ISSUER,
  jwtModelsClaim: ISSUER,
  keyStore: "the store of keys is opened at the start",
  metricsKeys: "series of metrics are kept as they are named first",
  auditLog: RECORDING,
  auditLogMaxMb: RECORDING,
  tracesEndpoint: TRACES,
  tracesSampleRatio: TRACES,
  record: RECORDING,
  recordMaxMb: RECORDING,
  kvEventsEndpoint: KV_EVENTS,
  kvEventsReplayEndpoint: KV_EVENTS,
  kvEventsTopic: KV_EVENTS,
  kvEventsMaxBytes: KV_EVENTS,
};
