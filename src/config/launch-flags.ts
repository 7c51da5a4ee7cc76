import type { ConfigKey } from "./schema.ts";

/**
 * A flag from the scripts of sglang-router, smg, vllm-router, production-stack or LiteLLM that is no option here. A flag
 * that asks for a feature that is not built is refused, with a sentence that says what to do instead: to accept it and do
 * nothing would break a promise. A flag that only tunes something does not stop the start, if that something works in
 * another way here, or is not built and not asked for. A notice then says that the flag changes nothing.
 */
export interface ForeignFlag {
  readonly flag: string;
  readonly takes: "nothing" | "value" | "list";
  /** What the gateway does with the flag when it has this value. */
  readonly judge: (value: string) => Outcome;
}

/** What the gateway does with a flag: refuse it, log a notice, or set something. Empty where the flag asks for what the gateway does anyway. */
export interface Outcome {
  readonly refusal?: string;
  readonly notice?: string;
  /** The option that the flag sets. */
  readonly sets?: readonly [key: ConfigKey, value: string | boolean];
  /** Options that the other gateway has with the flag, where the line does not say them. */
  readonly usual?: Readonly<Partial<Record<ConfigKey, string | string[]>>>;
  /** The `kv_connector` label that the flag gives to the workers of `--prefill` and `--decode`. */
  readonly connector?: string;
}

/** Flags as one text: `name` is a switch, `name=` takes one value, `name*` takes several. */
type Rows = readonly (readonly [sentence: string, flags: string])[];

const REFUSED: Rows = [
  ["the URL of a worker says whether it speaks HTTP or gRPC: http:// or grpc://", "connection-mode="],
  [
    "encoders on workers of their own are not built yet; --prefill and --decode serve text",
    "epd-disaggregation encode*",
  ],
  ["several gateways that share state are not built yet; without the flag each runs by itself", "enable-mesh"],
  ["MCP is not built yet; clients call their tools themselves", "mcp-config-path="],
  ["hooks on stored responses are not built yet", "storage-hook-wasm-path="],
  [
    "keys for operators are set in the file (api_keys, each with roles), or made by `pointsman keys create --role`",
    "control-plane-api-keys*",
  ],
  [
    "changes of the administration are in the log, or in the file that --audit-log names",
    "control-plane-audit-enabled",
  ],
  ["keys of several clients are set in the file (api_keys), or made by `pointsman keys create`", "tenant-api-key="],
  [
    "limits of a client are set in the file, by key: api_keys[].requests_per_minute and max_concurrent_requests",
    "tenant-rate-limit-enabled",
  ],
  ["a client is known by its key (api_keys in the file), not by a header", "trust-tenant-header"],
  ["keys are not validated elsewhere; --api-key or api_keys in the file name them", "api-key-validation-urls*"],
  ["priorities are set in the file, by key: api_keys[].priority (high, normal or low)", "priority-scheduler-enabled"],
  ["WebAssembly hooks are not built yet", "enable-wasm wasm-middleware="],
  [
    "the loads of engines are not polled: the gateway counts what it sends; --max-concurrent-requests bounds it",
    "worker-overload-protection worker-overload-waiting-requests= worker-overload-token-usage=",
  ],
  ["metrics of engines are not collected; scrape the engines themselves", "engine-metrics"],
  ["there is no listener of its own for probes yet; /health and /readiness are on the main port", "health-check-port="],
  [
    "a manifest in smg's form is not read; --workers-file names a list of workers, which is read again when it changes (docs/workers-file.md)",
    "discovery-file= discovery-check-interval-secs=",
  ],
  ["the RL control plane (/v1/rl) is not built yet", "enable-rl"],
  ["scheduling by program is not built yet", "enable-program-scheduling"],
  ["profiling through the gateway is not built yet; ask the worker", "profile"],
  [
    "a limit on pictures is not built yet; --max-payload-size bounds a request",
    "mm-per-request-image-limit= limit-mm-per-prompt=",
  ],
  [
    "no request is refused for what engines report of their load; --max-concurrent-requests and --queue-size bound it",
    "worker-overload-shed",
  ],
  [
    "events of KV caches are followed where --kv-events-endpoint, or kv_events of a worker in the file, names their port",
    "kv-event-source* kv-event-replay-source* pd-kv-events* kv-event-model= kv-event-block-size=",
  ],
  [
    "workers do not register themselves; name them with --prefill and --decode, or add them over POST /workers",
    "vllm-discovery-address=",
  ],
  ["a path in front of all routes is not built yet; let the proxy in front remove it", "root-path="],
  ["callbacks are not built yet; --policy-module loads a policy of your own", "callbacks="],
  ["batches and files are not built yet", "enable-batch-api"],
  [
    "production-stack's dynamic configuration is not read; workers change by --workers-file, --watch-config or the API",
    "dynamic-config-yaml= dynamic-config-json=",
  ],
  ["the features behind these gates are not built yet", "feature-gates="],
  ["Sentry is not built yet; errors are in the log", "sentry-dsn="],
  ["prefill and decode workers are named with --prefill and --decode", "prefill-model-labels= decode-model-labels="],
  ["other vendors' APIs are no workers yet; one that speaks the OpenAI API is", "external-providers-config="],
];

/** Flags that tune something that works in another way here. */
const UNUSED: Rows = [
  ["tokenizers are loaded when a gRPC worker needs one, and only then", "disable-tokenizer-autoload"],
  [
    "the cache keeps prefixes of prompts (--tokenizer-cache-bytes), and whole prompts are prefixes too",
    "tokenizer-cache-enable-l0 tokenizer-cache-l0-max-entries= tokenizer-cache-l0-max-memory= tokenizer-cache-enable-l1",
  ],
  ["the prefix index evicts as it inserts", "eviction-interval= eviction-interval-secs="],
  [
    "the prefix index has blocks and bounds of its own (--max-tree-size)",
    "block-size= kv-index= cache-boundaries= cache-index= cache-ttl-secs= kv-indexer-ttl-secs= kv-indexer-max-entries= overlap-decay= selection-temperature= router-temperature= prefix-min-match-length=",
  ],
  [
    "the gateway counts what it sends, and policies need no loads of engines",
    "disable-load-monitoring request-stats-window= pd-admission-wait-secs=",
  ],
  [
    "rates are learned from first tokens, and each prompt's length is known",
    "least-load-default-throughput= least-load-mean-prefill-tokens=",
  ],
  ["no worker is skipped for its line: a longer line costs more seconds", "least-load-max-waiting-requests="],
  ["workers are probed from the start", "worker-startup-delay="],
  [
    "with --dp-aware the tokens that each data-parallel rank holds are counted, and the policy chooses among the ranks",
    "dp-minimum-tokens-scheduler",
  ],
  [
    "a worker that joins is reckoned with as its fleet is, and one that is back begins with a part of its share (--slow-start-secs)",
    "worker-warmup-secs= worker-warmup-share= worker-warmup-blocks= worker-warmup-thin-ratio= worker-warmup-divert-every=",
  ],
  [
    "a worker that hangs is found by its probes, by --first-byte-timeout-secs and by its requests that take longer than expected",
    "worker-stall-secs= worker-stale-secs= worker-wedge-secs=",
  ],
  ["requests in flight are compared", "power-of-two-load-metric="],
  ["what was sent to a worker counts until its request has ended", "selection-accounting-ttl-ms= selection-policy="],
  ["a request's head has 10 s", "header-read-timeout-secs="],
  ["heap profiles are not built yet", "jemalloc-prof-dir="],
  ["--threads says how many threads serve", "runtime-worker-threads= num_workers= num-workers="],
  ["log lines go to standard output and no files are written; redirect them where you need them", "log-dir="],
  ["what is counted is at /metrics", "log-stats log-stats-interval="],
  ["the buckets of histograms are fixed", "prometheus-duration-buckets*"],
  [
    "changes of the administration are always on record: in the log, or in the file that --audit-log names",
    "disable-audit-logging",
  ],
  ["prefill and decode go through the same router with or without it", "mini-lb"],
  [
    "connections to workers are HTTP/1.1, and the gateway manages them",
    "upstream-http2 upstream-pool-idle-timeout-secs=",
  ],
  [
    "a body is held until its request has ended (--max-payload-size, --max-request-bytes-in-flight)",
    "max-buffered-request-bytes=",
  ],
  ["a worker's own report names its engine's id", "kv-engine-id-annotation="],
  ["a watch of pods has no silence that ends it", "k8s-watcher-timeout-seconds="],
  [
    "traces leave out nothing that the gateway routes, and go over HTTP or HTTPS as their endpoint says (OTEL_SERVICE_NAME names the service)",
    "otel-excluded-paths* otel-service-name= otel-secure",
  ],
  ["changes of workers wait in no queue", "job-queue-capacity= job-queue-concurrency="],
  [
    "every worker is asked for its health (--health-check-endpoint), whatever kind of model it has",
    "static-backend-health-checks static-model-types= static-model-labels=",
  ],
  ["requests are passed on as they are", "request-rewriter="],
];

/** Settings of features that are not built. They have no effect alone; the flag that asks for the feature is refused. */
const PARTS: Rows = [
  ["encoders on workers of their own", "encode-selector*"],
  ["several gateways that find each other", "router-selector*"],
  [
    "--enable-mesh",
    "mesh-server-name= mesh-host= mesh-advertise-host= mesh-port= mesh-peer-urls* mesh-tls-ca-cert= mesh-tls-cert= mesh-tls-key=",
  ],
  [
    "--history-backend",
    "schema-config= storage-context-headers* history-memory-max-items= history-memory-max-responses= history-memory-retention-secs= max-background-responses= postgres-op-timeout-secs= redis-op-timeout-secs= postgres-db-url= postgres-pool-max= postgres-pool-max-size= redis-url= redis-pool-max= redis-pool-max-size= redis-retention-days= oracle-wallet-path= oracle-tns-alias= oracle-dsn= oracle-connect-descriptor= oracle-user= oracle-username= oracle-password= oracle-external-auth oracle-pool-min= oracle-pool-max= oracle-pool-timeout-secs=",
  ],
  ["--wasm-middleware", "wasm-middleware-sha256= wasm-middleware-route="],
  ["--encode", "encode-policy="],
  ["--trust-tenant-header", "tenant-header-name="],
  ["--tenant-rate-limit-enabled", "tenant-rate-limit-config="],
  [
    "--priority-scheduler-enabled",
    "priority-scheduler-default-max-class= priority-scheduler-config= priority-scheduler-tenant-metric-top-n=",
  ],
  ["--enable-rl", "rl-control-timeout-secs= rl-fanout-concurrency="],
  ["--enable-program-scheduling", "program-scheduling-config-json="],
  ["--enable-batch-api", "file-storage-class= file-storage-path= batch-processor="],
  ["--sentry-dsn", "sentry-traces-sample-rate= sentry-profile-session-sample-rate="],
  [
    "the policy kv_aware",
    "kv-aware-threshold= kv-aware-session-affinity-ttl-secs= kv-penalty-host= kv-penalty-external= kv-penalty-disk= kv-block-size= kv-hash-seed= pd-uncached-token-threshold= lmcache-controller-port= lmcache-controller-reply-port= lmcache-controller-heartbeat-port= lmcache-health-check-interval= lmcache-worker-timeout=",
  ],
  [
    "pictures in prompts of gRPC workers",
    "multimodal-tensor-transport= multimodal-shm-min-bytes= multimodal-max-inflight-bytes= mm-processing= mm-pixel-cache-mb= mm-pixel-rdma log-mm-timing mm-allow-private-media-hosts mm-allowed-media-domains= rdma-listen-ip= rdma-slot-ttl-s=",
  ],
  ["ipc:// workers", "zmq-engine-count="],
  ["WebRTC", "webrtc-bind-addr= webrtc-stun-server="],
];

/** 1 or more means "off" in the gateways that have the flag. */
function offAtOne(value: string): Outcome {
  return Number(value) >= 1 ? {} : { refusal: "the loads of engines are not polled: the gateway counts what it sends" };
}

function policyOf(policy: string): Outcome {
  return { sets: ["defaultPolicy", policy] };
}

const DISCOVERY =
  "must be nothing, k8s or static; other registries are not built yet: name the workers with --worker-urls";
const FINDS_PODS: Outcome = { sets: ["serviceDiscovery", true] };
/** As production-stack's router does. */
const FINDS_VLLM_PODS: Outcome = {
  ...FINDS_PODS,
  usual: { serviceDiscoveryPort: "8000", serviceDiscoveryNamespace: ["default"] },
};

const ENGINES = "which engine a worker runs is asked of it";

interface ByValue {
  /** For the documentation: what the gateway does with each value. */
  readonly text: string;
  readonly flags: string;
  readonly judge: (value: string) => Outcome;
}

/** Judges a value by a table; values outside of it are refused with `otherwise`. */
function choice(outcomes: Readonly<Record<string, Outcome>>, otherwise: string): (value: string) => Outcome {
  const table = new Map(Object.entries(outcomes));
  return (value) => table.get(value) ?? { refusal: otherwise };
}

const BY_VALUE: readonly ByValue[] = [
  {
    flags: "backend= runtime=",
    text: `\`sglang\`, \`vllm\`, \`openai\`: taken, ${ENGINES}; others are refused`,
    judge: choice(
      {
        sglang: { notice: ENGINES },
        vllm: { notice: ENGINES },
        openai: {
          notice: `${ENGINES}; one that has no /health needs --health-check-endpoint, such as /v1/models`,
        },
      },
      "workers are SGLang, vLLM, or any server that speaks the OpenAI API (sglang, vllm, openai); others are not built yet",
    ),
  },
  {
    flags: "service-discovery?",
    text: "without a value: as `--kubernetes`; `k8s`: likewise, with the port 8000 and the namespace `default`, unless the line has others; `static`: taken, as workers are named by other flags; else refused",
    judge: choice(
      { "": FINDS_PODS, true: FINDS_PODS, k8s: FINDS_VLLM_PODS, k8s_pod_ip: FINDS_VLLM_PODS, static: {}, false: {} },
      DISCOVERY,
    ),
  },
  {
    flags: "discovery-provider=",
    text: "`kubernetes`: as `--kubernetes`; else refused, as workers are not read from files of that form",
    judge: choice(
      { kubernetes: FINDS_PODS },
      "must be kubernetes; workers of a file are initial_workers in the configuration, which is read again when it changes",
    ),
  },
  {
    flags: "k8s-service-discovery-type=",
    text: "`pod-ip`: taken; else refused, as workers are reached by their pods' addresses",
    judge: choice({ "pod-ip": {} }, "must be pod-ip: workers are reached by their pods' addresses"),
  },
  {
    flags: "history-backend=",
    text: "`none`: taken; else refused, as stored responses are not built yet",
    judge: choice({ none: {} }, "stored responses are not built yet; only none is possible"),
  },
  {
    flags: "mode=",
    text: "`regular`: taken; `pd`: as `--pd-disaggregation`",
    judge: choice({ regular: {}, pd: { sets: ["pdDisaggregation", true] } }, "must be regular or pd"),
  },
  {
    flags: "kv-connector=",
    text: "`nixl`, `mooncake`: taken, as the label `kv_connector` of prefill and decode workers; else refused",
    judge: choice(
      { nixl: { connector: "nixl" }, mooncake: { connector: "mooncake" } },
      "must be nixl or mooncake; other connectors are labels of workers (docs/pd.md), and MoRI-IO is not built yet",
    ),
  },
  {
    flags: "parser=",
    text: "`legacy`: taken; else refused, as each model's own parser reads its answers",
    judge: choice({ legacy: {} }, "must be legacy: each model's own parser reads its answers (--tool-call-parser)"),
  },
  {
    flags: "prefill-max-inflight-requests-per-worker= prefill-queue-size= prefill-queue-timeout-secs=",
    text: "`0` and less (off): taken; else refused, as prefill workers have no waiting line of their own",
    judge: (value) =>
      Number(value) <= 0
        ? {}
        : {
            refusal:
              "prefill workers have no waiting line of their own; --max-concurrent-requests bounds what runs at once",
          },
  },
  {
    flags: "disable-worker-overload-protection",
    text: "as it is: no worker is left out for what its engine reports of its load",
    judge: () => ({}),
  },
  {
    flags: "pd-pairing-mode=",
    text: "`off`, `lenient`: taken; `strict` is refused",
    judge: choice(
      { off: {}, lenient: {} },
      "prefill and decode are paired by their connector; to refuse pairs for their versions is not built yet",
    ),
  },
  {
    flags: "routing-logic=",
    text: "`roundrobin`, `session`, `prefixaware`: as the policies round_robin, consistent_hashing, cache_aware; else refused",
    judge: choice(
      {
        roundrobin: policyOf("round_robin"),
        session: policyOf("consistent_hashing"),
        prefixaware: policyOf("cache_aware"),
        kvaware: {
          refusal: "kvaware is not built yet; --policy cache_aware remembers which worker has seen which prompt",
        },
      },
      "must be roundrobin, session or prefixaware; prefill and decode apart are --pd-disaggregation with --prefill and --decode",
    ),
  },
  {
    flags: "rate-limit-tokens-per-second=",
    text: "`0` and less: taken; else refused, as a rate is a client's (`api_keys`)",
    judge: (value) =>
      Number(value) <= 0
        ? {}
        : {
            refusal:
              "a rate is set by key, in the file: api_keys[].requests_per_minute; --max-concurrent-requests bounds what runs at once",
          },
  },
  {
    flags: "balance-token-usage-threshold= overload-token-usage-threshold=",
    text: "`1` and more (off): taken; else refused, as the loads of engines are not polled",
    judge: offAtOne,
  },
  {
    flags: "enable-trace",
    text: "as `--otlp-traces-endpoint http://localhost:4318`, where no other endpoint is given",
    judge: () => ({ sets: ["tracesEndpoint", "http://localhost:4318"] }),
  },
  {
    flags: "debug detailed_debug",
    text: "as `--log-level debug`",
    judge: () => ({ sets: ["logLevel", "debug"] }),
  },
  {
    flags: "log-json",
    text: "as `--log-format json`",
    judge: () => ({ sets: ["logFormat", "json"] }),
  },
];

function parsed(flags: string, judge: (value: string) => Outcome): ForeignFlag[] {
  return flags.split(" ").map((text) => {
    const [, name = "", mark = ""] = /^(.*?)([=*?]?)$/.exec(text) ?? [];
    const takes = mark === "" ? "nothing" : mark === "=" || mark === "?" ? "value" : "list";
    return { flag: `--${name}`, takes, judge };
  });
}

/** Every flag of other gateways that the command line knows. */
export const FOREIGN_FLAGS: readonly ForeignFlag[] = [
  ...REFUSED.flatMap(([refusal, flags]) => parsed(flags, () => ({ refusal }))),
  ...UNUSED.flatMap(([reason, flags]) => parsed(flags, () => ({ notice: reason }))),
  ...PARTS.flatMap(([whole, flags]) =>
    parsed(flags, () => ({ notice: `it belongs to ${whole}, and that is not built yet` })),
  ),
  ...BY_VALUE.flatMap(({ flags, judge }) => parsed(flags, judge)),
];

/** One row of the page: a sentence and its flags. */
interface FlagRow {
  readonly text: string;
  readonly flags: readonly string[];
}

/** The flags as rows for the documentation. */
export function foreignFlagRows(): Readonly<Record<"refused" | "unused" | "byValue", readonly FlagRow[]>> {
  const rows = (list: Rows, text: (sentence: string) => string): FlagRow[] =>
    list.map(([sentence, flags]) => ({
      text: text(sentence),
      flags: parsed(flags, () => ({})).map(({ flag }) => flag),
    }));
  return {
    refused: rows(REFUSED, (sentence) => sentence),
    unused: [...rows(UNUSED, (reason) => reason), ...rows(PARTS, (whole) => `belongs to ${whole}, not built yet`)],
    byValue: BY_VALUE.map(({ flags, text }) => ({ text, flags: parsed(flags, () => ({})).map(({ flag }) => flag) })),
  };
}
