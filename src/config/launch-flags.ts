/**
 * Flags that users of sglang-router and smg have in their scripts and that are not here. Each is refused with the
 * sentence that says why: a flag that is taken and does nothing would be a promise that is not kept.
 */
const NOT_BUILT: readonly (readonly [reason: string, flags: readonly string[]])[] = [
  ["whether a worker speaks HTTP or gRPC is said by its url: http:// or grpc://", ["connection-mode"]],
  ["tokenizers are loaded when a gRPC worker needs one, and only then", ["disable-tokenizer-autoload"]],
  [
    "prompts are remembered by their beginnings (--tokenizer-cache-bytes), which whole prompts are too",
    ["tokenizer-cache-enable-l0", "tokenizer-cache-l0-max-entries", "tokenizer-cache-enable-l1"],
  ],
  [
    "encoders on workers of their own are not built yet",
    [
      "mini-lb",
      "epd-disaggregation",
      "encode",
      "encode-policy",
      "multimodal-tensor-transport",
      "multimodal-shm-min-bytes",
    ],
  ],
  [
    "service discovery is not built yet",
    [
      "service-discovery",
      "selector",
      "service-discovery-port",
      "service-discovery-namespace",
      "prefill-selector",
      "decode-selector",
      "encode-selector",
      "router-selector",
      "model-id-from",
      "prefill-bootstrap-port-annotation",
    ],
  ],
  [
    "several gateways that share state are not built yet",
    ["enable-mesh", "mesh-server-name", "mesh-host", "mesh-advertise-host", "mesh-port", "mesh-peer-urls"],
  ],
  ["MCP is not built yet", ["mcp-config-path"]],
  [
    "stored responses are not built yet",
    [
      "history-backend",
      "schema-config",
      "storage-hook-wasm-path",
      "storage-context-headers",
      "postgres-db-url",
      "postgres-pool-max-size",
      "redis-url",
      "redis-pool-max-size",
      "redis-retention-days",
      "oracle-wallet-path",
      "oracle-tns-alias",
      "oracle-dsn",
      "oracle-username",
      "oracle-password",
      "oracle-pool-min",
      "oracle-pool-max",
      "oracle-pool-timeout-secs",
    ],
  ],
  [
    "keys for tenants and operators are not built yet; there is one --api-key",
    [
      "tenant-api-key",
      "control-plane-api-keys",
      "jwt-issuer",
      "jwt-audience",
      "jwt-jwks-uri",
      "jwt-role-claim",
      "jwt-role-mapping",
      "disable-audit-logging",
      "trust-tenant-header",
      "tenant-header-name",
      "tenant-rate-limit-enabled",
      "tenant-rate-limit-config",
    ],
  ],
  ["TLS for clients is not built yet; put a TLS proxy in front", ["tls-cert-path", "tls-key-path"]],
  ["tracing is not built yet", ["enable-trace", "otlp-traces-endpoint"]],
  ["WebAssembly hooks are not built yet", ["enable-wasm"]],
  [
    "priority classes are not built yet",
    [
      "priority-scheduler-enabled",
      "priority-scheduler-default-max-class",
      "priority-scheduler-config",
      "priority-scheduler-tenant-metric-top-n",
    ],
  ],
  [
    "a limit by rate is not built yet; --max-concurrent-requests bounds what runs at once",
    ["rate-limit-tokens-per-second"],
  ],
  ["model aliases are not built yet", ["model-alias"]],
  ["data-parallel ranks as workers are not built yet", ["dp-aware", "dp-minimum-tokens-scheduler"]],
  [
    "the loads of engines are not polled: the gateway counts what it sends",
    ["load-monitor-interval", "balance-token-usage-threshold", "overload-token-usage-threshold", "engine-metrics"],
  ],
  [
    "this policy is not built yet",
    [
      "max-idle-secs",
      "assignment-mode",
      "prefix-token-count",
      "prefix-hash-load-factor",
      "least-load-kv-pressure-weight",
      "least-load-default-throughput",
      "least-load-mean-prefill-tokens",
      "routing-key-override",
    ],
  ],
  ["the prefix index evicts as it inserts, so there is no interval", ["eviction-interval"]],
  ["the block size of the prefix index is fixed", ["block-size"]],
  ["there is no listener of its own for health probes yet; /health is on the main port", ["health-check-port"]],
  ["workers are probed from the start, so there is no delay", ["worker-startup-delay"]],
  ["--threads says how many threads serve", ["runtime-worker-threads"]],
  ["engines of other vendors are not built yet", ["backend", "runtime"]],
  ["logs are JSON lines on standard output; point them where they shall go", ["log-dir", "log-json"]],
  ["the buckets of histograms are fixed", ["prometheus-duration-buckets"]],
  ["WebRTC is not built yet", ["webrtc-bind-addr", "webrtc-stun-server"]],
];

const REASONS: ReadonlyMap<string, string> = new Map(
  NOT_BUILT.flatMap(([reason, flags]) => flags.map((flag) => [`--${flag}`, reason] as const)),
);

/** Why a known flag is not taken; undefined for flags that are ours or nobody's. */
export function whyNotBuilt(flag: string): string | undefined {
  return REASONS.get(flag);
}

/** All of them, for the documentation. */
export function notBuiltFlags(): readonly (readonly [reason: string, flags: readonly string[]])[] {
  return NOT_BUILT;
}
