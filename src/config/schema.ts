import { z } from "zod";
import type { WorkerOrigin } from "./given-workers.ts";
import { parseWorkerUrl } from "../util/parse-worker-url.ts";
import { Secret } from "../util/secret.ts";
import { WORKER_TYPES } from "../util/worker-type.ts";

/**
 * The configuration, once. An entry gives type, default, flag, env name and documentation of an option: the key
 * `requestTimeoutSecs` is `request_timeout_secs` in the file, `--request-timeout-secs` on the command line and
 * `POINTSMAN_REQUEST_TIMEOUT_SECS` in the environment. `npm run generate` writes docs/config.md and config.schema.json.
 */
export interface OptionMeta {
  readonly description: string;
  readonly group: OptionGroup;
  /** Where the flag is not the key in kebab case. */
  readonly flag?: string;
  /** Further names of the flag, known from other gateways. */
  readonly aliases?: readonly string[];
  /** Only in the file: too much structure for a flag. */
  readonly fileOnly?: boolean;
}

export const OPTION_GROUPS = [
  "Listening",
  "Workers",
  "Tokens",
  "Routing",
  "Admission and time",
  "Retries and circuit breaker",
  "Health checks",
  "Observability",
] as const;
export type OptionGroup = (typeof OPTION_GROUPS)[number];

/** Every policy that is built in. `test/pins/` holds it equal to the policies themselves. */
export const POLICY_NAMES = [
  "cache_aware",
  "shortest_queue",
  "power_of_two",
  "round_robin",
  "random",
  "consistent_hashing",
  "passthrough",
] as const;

/** What vllm-router and production-stack call some of them. */
const POLICY_ALIASES: ReadonlyMap<string, string> = new Map([
  ["consistent_hash", "consistent_hashing"],
  ["roundrobin", "round_robin"],
]);

/** The policy's own name, for any that it goes by. */
export function canonicalPolicy(given: string): string {
  return POLICY_ALIASES.get(given) ?? given;
}

/** What Python calls some levels. */
const LEVEL_ALIASES: ReadonlyMap<unknown, string> = new Map([
  ["warning", "warn"],
  ["critical", "fatal"],
]);

/** How a secret prints. */
const REDACTED = new Secret("").toString();

const DAY_SECS = 86_400;
const secs = z.number().positive().max(DAY_SECS);
/** A bound on time that is longer than a day is meant as none; a day is what is taken then, and said. */
const upToADay = z.preprocess(
  (value) => (typeof value === "number" && value > DAY_SECS && Number.isFinite(value) ? DAY_SECS : value),
  secs,
);
const count = z.int().min(0).max(1_000_000);
const port = z.int().min(0).max(65_535);
/** `$NAME`, `${NAME}` and `$(NAME)`, as files and Kubernetes write variables, and LiteLLM's `os.environ/NAME`. */
const PLACEHOLDER = /^(\$[A-Z_][A-Z0-9_]*|\$\{[^}]*\}|\$\([^)]*\)|os\.environ\/.*)$/;
const secret = z
  .string()
  .min(1)
  // Otherwise what `check` prints, taken as a file, would run with a key that everybody knows.
  .refine((value) => value !== REDACTED, "is what stands in print for a secret; put the secret itself here")
  .refine((value) => !PLACEHOLDER.test(value), "is a variable that nobody has filled in, not a secret")
  .transform((value) => new Secret(value));
const name = z.string().min(1).max(256);
const policyName = name.transform(canonicalPolicy);
const path = z.string().min(1).startsWith("/", "must begin with /");
const host = z
  .string()
  .min(1)
  .transform((value) => value.replace(/^\[(.*)\]$/, "$1"));
const headerName = z
  .string()
  .regex(/^[A-Za-z0-9-]{1,64}$/, "must be a header name")
  .transform((value) => value.toLowerCase());

const origin = z
  .string()
  .regex(/^(\*|https?:\/\/[^/\s,]+)$/, "must be an origin such as https://example.com without a path, or *");

/** Headers that carry credentials or framing: no list in the configuration may pass them on. */
const NEVER_FORWARDED = new Set([
  "authorization",
  "x-api-key",
  "cookie",
  "host",
  "content-length",
  "content-encoding",
  "transfer-encoding",
  "connection",
  "expect",
  "upgrade",
  "te",
  "trailer",
  "proxy-authorization",
]);

const workerUrl = z.string().transform((value, context) => {
  const parsed = parseWorkerUrl(value);
  if (parsed.ok) return parsed.url;
  // A password in it does not belong into a message.
  const given = value.includes("@") ? "" : `, not ${JSON.stringify(value.slice(0, 256))}`;
  context.addIssue({
    code: "custom",
    message: `must be the address of a worker${given}: ${parsed.reason}`,
    input: value,
  });
  return z.NEVER;
});

/** Where the checks of one worker differ from those of the others. */
const workerHealthSchema = z.strictObject({
  endpoint: path.optional(),
  checkIntervalSecs: secs.optional(),
  timeoutSecs: secs.optional(),
  failureThreshold: count.min(1).optional(),
  successThreshold: count.min(1).optional(),
  disableHealthCheck: z.boolean().optional(),
});

/** Every listing of workers, and every candidate that a policy sees, carries them. */
const MAX_LABELS = 64;

export const workerLabels = z
  .record(z.string().max(128), z.string().max(1024))
  .refine((labels) => Object.keys(labels).length <= MAX_LABELS, `must be ${MAX_LABELS} labels at most`);

/** A worker, in the file and over the API alike. */
export const workerSchema = z.strictObject({
  url: workerUrl,
  modelId: name.optional(),
  apiKey: secret.optional(),
  workerType: z.enum(WORKER_TYPES).default("regular"),
  /** Of a prefill worker: where decode workers ask for its KV cache. */
  bootstrapPort: port.min(1).optional(),
  policy: policyName.optional(),
  labels: workerLabels.default({}),
  priority: z.number().min(0).max(1_000_000).default(50),
  cost: z.number().min(0).max(1_000_000).default(1),
  health: workerHealthSchema.default({}),
});

const cacheAware = {
  cacheThreshold: z.number().min(0).max(1),
  balanceAbsThreshold: count,
  balanceRelThreshold: z.number().min(1).max(1000),
  maxTreeSize: z.int().min(65_536).max(4_294_967_296),
};

/** Options that a policy takes in a pattern's `config`. */
const policyOptions = z.strictObject({
  cacheThreshold: cacheAware.cacheThreshold.optional(),
  balanceAbsThreshold: cacheAware.balanceAbsThreshold.optional(),
  balanceRelThreshold: cacheAware.balanceRelThreshold.optional(),
  maxTreeSize: cacheAware.maxTreeSize.optional(),
});

const glob = z
  .string()
  .min(1)
  .max(256)
  // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
  .regex(/^[^\u0000-\u001f\u007f]*$/, "must not have control characters")
  // They would be taken as themselves and match nothing.
  .regex(/^[^[\]{}]*$/, "must not have [ ] or { }: only * and ? are wild cards");

/** `true` and `false` where a list of models can stand: all of them, and none. */
function wholeOrList(value: unknown): unknown {
  const only: unknown = Array.isArray(value) && value.length === 1 ? value[0] : value;
  if (only === true || only === "true") return ["*"];
  return only === false || only === "false" ? [] : value;
}

const pattern = z
  .strictObject({
    match: glob,
    policy: policyName,
    config: policyOptions.default({}),
  })
  .refine((entry) => entry.policy === "cache_aware" || Object.keys(entry.config).length === 0, {
    message: "is for cache_aware: no other policy takes options",
    path: ["config"],
  });

export const configSchema = z.strictObject({
  host: host.default("127.0.0.1").meta({
    group: "Listening",
    description:
      "Address to listen on. This machine only, by default; containers give `0.0.0.0`. Without an `admin_api_key` the administration is open to this machine only, as who can manage workers can send requests anywhere.",
  }),
  port: port.default(30_000).meta({
    group: "Listening",
    description: "Port to listen on; 0 takes a free one. The port that SGLang's routers have.",
  }),
  apiKey: secret.optional().meta({
    group: "Listening",
    description:
      "Key that clients must send, as `Authorization: Bearer` or `x-api-key`. Without it everybody may call.",
  }),
  apiKeys: z
    .array(
      z.strictObject({
        name,
        key: secret,
        maxConcurrentRequests: z.int().min(1).max(1_000_000).optional(),
        requestsPerMinute: z.int().min(1).max(100_000_000).optional(),
        priority: z.enum(["high", "normal", "low"]).default("normal"),
      }),
    )
    .default([])
    .meta({
      group: "Listening",
      fileOnly: true,
      description:
        "Keys of several clients: `name`, `key`, and what each may do by itself: `max_concurrent_requests`, `requests_per_minute` (429 beyond them), `priority` (`high`, `normal` or `low`: who leaves a queue first; a request may lower its own by `x-request-priority`).",
    }),
  adminPort: port.optional().meta({
    group: "Listening",
    description:
      "Port of the administration: workers, policies, caches, metrics. With it these are nowhere else; without it they are on the main port, where existing tools expect them.",
  }),
  adminHost: host.default("127.0.0.1").meta({
    group: "Listening",
    description:
      "Address of the admin port. Without an `admin_api_key` it is open to this machine only, whatever the address.",
  }),
  adminApiKey: secret.optional().meta({
    group: "Listening",
    description:
      "Key of the administration, needed from other machines; no serving key opens it then. Without one the `api_key` opens it, and where there is no key at all nobody is asked for one: both from this machine only.",
  }),
  reusePort: z.boolean().default(false).meta({
    group: "Listening",
    description:
      "Share the ports (serving, administration, metrics) with another gateway, so that a new one can take over from an old one; without it a port that is taken is an error. What the old one holds does not go along: workers that were added over the API, the prefix index, breakers. Any process of the same user can join a shared port. It joins once its workers have been asked, after 10 s at most. Linux resets what waits to be accepted when the old one leaves, unless `net.ipv4.tcp_migrate_req` is 1.",
  }),
  maxPayloadSize: z.int().min(1024).max(2_147_483_647).default(67_108_864).meta({
    group: "Listening",
    description:
      "Largest request body, bytes, as it came and decoded. 64 MiB holds a few pictures in base64; the 512 MiB of sglang-router let one client take half a gigabyte.",
  }),
  corsAllowedOrigins: z.array(origin).default([]).meta({
    group: "Listening",
    description: "Origins that browsers may call from; `*` for any. None by default: other gateways allow all.",
  }),
  requestIdHeaders: z.array(headerName).default(["x-request-id", "x-correlation-id", "x-trace-id", "request-id"]).meta({
    group: "Listening",
    description: "Headers in which a client may bring its own request id, first found first.",
  }),
  forwardHeaders: z
    .array(
      headerName.refine(
        (header) => !NEVER_FORWARDED.has(header),
        "carries credentials or framing and is never passed on",
      ),
    )
    .default([])
    .meta({
      group: "Listening",
      description:
        "Client headers that workers get besides the built-in ones (accept, user-agent, traceparent, tracestate, anthropic-version, anthropic-beta, openai-beta).",
    }),
  initialWorkers: z
    .array(workerSchema)
    .default([])
    .meta({
      group: "Workers",
      flag: "--worker",
      aliases: ["--worker-urls"],
      description:
        "Workers known from the start: in the file with `url`, `model_id`, `api_key`, `policy`, `labels`, `priority`, `cost`, `health`; as flags `--worker URL`, repeatable, or `--worker-urls URL...`. Both together are one list.",
    }),
  workerApiKey: secret.optional().meta({
    group: "Workers",
    description:
      "Key that is sent to the workers known from the start that have none of their own. Without it those that flags or variables name get the `api_key`, if that was a flag or a variable too, as sglang-router does. Workers added over the API never get either.",
  }),
  enableIgw: z.boolean().default(false).meta({
    group: "Workers",
    description:
      "One gateway for many models: a request must name its model. Without it a request without `model` goes to any worker.",
  }),
  pdDisaggregation: z
    .boolean()
    .default(false)
    .meta({
      group: "Workers",
      aliases: ["--vllm-pd-disaggregation"],
      description:
        "Prefill and decode on different workers: those of `--prefill URL [BOOTSTRAP_PORT]` and `--decode URL`, repeatable, or `worker_type` in the file and over the API. Without it and without `enable_igw` such workers are refused, with it regular ones: they would not get the same requests.",
    }),
  enableGrpc: z.boolean().default(false).meta({
    group: "Tokens",
    description:
      "Load the tokenizer of `tokenizer_path` before listening, and do not start where it cannot be loaded. Without it tokenizers are loaded when the first gRPC worker of a model is ready.",
  }),
  tokenizerPath: z.string().min(1).optional().meta({
    group: "Tokens",
    description:
      "Folder with a tokenizer.json, for gRPC workers: they speak tokens. Without it each worker is asked for its own (`GetTokenizer`); a worker's label `tokenizer_path` names another one.",
  }),
  tokenizerFolder: z.string().min(1).optional().meta({
    group: "Tokens",
    description:
      "Folder below which tokenizers and templates may lie that are named over the API (`POST /v1/tokenizers`, a worker's label `tokenizer_path`). Without it the API takes no path: the gateway may read files that its caller may not.",
  }),
  chatTemplate: z.string().min(1).optional().meta({
    group: "Tokens",
    description: "File with a Jinja chat template that takes the place of the model's own.",
  }),
  toolCallParser: name.optional().meta({
    group: "Tokens",
    description:
      "How models write tool calls, a name of docs/parsers.md or `none`; without it, by the model's name and chat template. For gRPC workers, and for HTTP workers of the models in `parse_output`; other HTTP workers have their own.",
  }),
  reasoningParser: name.optional().meta({
    group: "Tokens",
    description:
      "How models write their reasoning, a name of docs/parsers.md or `none`; without it, by the model's name and chat template.",
  }),
  parseOutput: z.preprocess(wholeOrList, z.array(glob)).default([]).meta({
    group: "Tokens",
    description:
      "Models (globs) whose HTTP workers return what the model wrote as it is: tool calls and reasoning are told apart here, by `tool_call_parser` and `reasoning_parser` or else by the model's name. Chat completions only. `true` for all. A stream in which calls or reasoning have appeared is not gone on with by `continue_streams`.",
  }),
  tokenizerCacheBytes: z
    .int()
    .min(0)
    .max(17_179_869_184)
    .default(52_428_800)
    .meta({
      group: "Tokens",
      aliases: ["--tokenizer-cache-l1-max-memory"],
      description: "Memory for what prompts begin with, tokenised, for each model on each thread, bytes; 0 for none.",
    }),
  modelPath: name.optional().meta({
    group: "Workers",
    aliases: ["--model"],
    description: "Model of workers that do not say what they serve.",
  }),
  drainTimeoutSecs: upToADay.default(180).meta({
    group: "Workers",
    aliases: ["--drain-settle-secs"],
    description:
      "How long a removed worker may finish its requests, seconds. Long generations take minutes; the 5 of other gateways would cut them.",
  }),
  defaultPolicy: policyName.default("cache_aware").meta({
    group: "Routing",
    flag: "--policy",
    description: `Policy of models that no pattern and no hint names: ${POLICY_NAMES.join(", ")}, or the one of \`policy_module\`.`,
  }),
  prefillPolicy: policyName.optional().meta({
    group: "Routing",
    description:
      "Policy that chooses the prefill worker where no pattern and no hint names one; else that of the model.",
  }),
  decodePolicy: policyName.optional().meta({
    group: "Routing",
    description:
      "Policy that chooses the decode worker where no pattern and no hint names one; else that of the model.",
  }),
  modelPolicies: z
    .strictObject({ patterns: z.array(pattern).default([]) })
    .default({ patterns: [] })
    .meta({
      group: "Routing",
      fileOnly: true,
      description:
        "`patterns`: a list of `match` (a glob on the model's id), `policy` and `config`; the first that matches counts.",
    }),
  policyModule: z.string().min(1).optional().meta({
    group: "Routing",
    description: "TypeScript file that exports a policy, which can then be named like a built-in one.",
  }),
  cacheThreshold: cacheAware.cacheThreshold.default(0.3).meta({
    group: "Routing",
    aliases: ["--cache-match-threshold"],
    description: "cache_aware: share of the prompt that a worker must have seen to be chosen for it, 0 to 1.",
  }),
  balanceAbsThreshold: cacheAware.balanceAbsThreshold.default(64).meta({
    group: "Routing",
    aliases: ["--spill-abs-threshold"],
    description:
      "cache_aware: a worker may have this many requests more in flight than the least loaded one and still be chosen for its cache.",
  }),
  balanceRelThreshold: cacheAware.balanceRelThreshold.default(1.5).meta({
    group: "Routing",
    aliases: ["--spill-rel-threshold"],
    description: "cache_aware: or this many times as many.",
  }),
  maxTreeSize: cacheAware.maxTreeSize.default(67_108_864).meta({
    group: "Routing",
    description: "cache_aware: bytes of prompt that are remembered for a model.",
  }),
  threads: z.int().min(0).max(64).default(1).meta({
    group: "Admission and time",
    description:
      "Threads that serve requests; 0 takes one for each core, at most 8. One by default, which a gateway of some thousand requests a second does with; each more costs some 20 MB. Which thread a connection goes to is the kernel's choice.",
  }),
  maxConcurrentRequests: z.int().min(-1).max(1_000_000).default(-1).meta({
    group: "Admission and time",
    description: "Requests under way at once; -1 or 0 for no bound.",
  }),
  maxConcurrentRequestsPerModel: z.int().min(-1).max(1_000_000).default(-1).meta({
    group: "Admission and time",
    description: "The same for each model by itself, with a queue of its own; -1 or 0 for no bound.",
  }),
  maxRequestBytesInFlight: z.int().min(1_048_576).max(1_099_511_627_776).default(1_073_741_824).meta({
    group: "Admission and time",
    description:
      "Bytes that may be held of all requests under way together: of their bodies what has come, as it came and decoded, and requests that stand behind another on their connection; more are refused with 503. What bounds memory where bodies differ a thousandfold.",
  }),
  maxEventLoopDelayMs: z.number().min(0).max(60_000).default(500).meta({
    group: "Admission and time",
    description:
      "How far a thread may be behind with its work before it refuses new inference requests with 503, ms; 0 for no bound. Nine looks in ten of the last second must be within it. Usual is less than 20; on a machine with eight times the work that it can do, 100 to 250 were seen, at which requests are still better served than refused.",
  }),
  maxResidentBytes: z.int().min(0).max(1_099_511_627_776).optional().meta({
    group: "Admission and time",
    description:
      "Resident memory of the process beyond which new inference requests are refused with 503 and answers end their connection, bytes; 0 for no bound. Nine tenths of what the container may have, where it has a limit. A request that is alone is served nevertheless.",
  }),
  queueSize: count.default(100).meta({
    group: "Admission and time",
    description: "Requests that may wait when that bound is reached; more are refused with 503.",
  }),
  queueTimeoutSecs: upToADay
    .default(60)
    .meta({ group: "Admission and time", description: "Longest wait in the queue, seconds." }),
  requestTimeoutSecs: upToADay.default(1800).meta({
    group: "Admission and time",
    description: "Longest a request may take, first byte in to last byte out, seconds. Long generations are normal.",
  }),
  bodyStallTimeoutSecs: upToADay.default(30).meta({
    group: "Admission and time",
    aliases: ["--stream-body-stall-timeout-secs"],
    description:
      "Longest pause of a client within a request's body, seconds. Beside such pauses a body comes at 1 KiB a second at least, or is given up.",
  }),
  connectTimeoutSecs: upToADay.default(2).meta({
    group: "Admission and time",
    description:
      "For a worker to accept a connection, seconds. A worker in the same data centre answers within milliseconds.",
  }),
  maxConnectionsPerWorker: z.int().min(0).max(65_535).default(8192).meta({
    group: "Admission and time",
    description:
      "Connections to one worker at once, over all threads, besides those of health checks; 0 for no bound. Requests beyond them wait their turn, in order, for `connect_timeout_secs` at most, then go to another worker. No engine runs as many requests together; twice as many again and this machine would have no ports left towards the worker.",
  }),
  firstByteTimeoutSecs: upToADay.default(600).meta({
    group: "Admission and time",
    description:
      "From the request sent to the first byte of the answer, seconds. An answer that is not streamed begins when it is whole.",
  }),
  idleTimeoutSecs: upToADay.default(120).meta({
    group: "Admission and time",
    description:
      "Longest silence of a worker within an answer, seconds. Tokens come many times a second; two minutes of none is a worker that hangs.",
  }),
  streamKeepAliveSecs: z.number().min(0).max(86_400).default(15).meta({
    group: "Admission and time",
    description:
      "Silence before or within a stream after which its client gets a comment (`ping` on `/v1/messages`), so that nothing on the way takes the connection for dead, seconds; 0 for never. Before the first token the head goes out with it, with status 200: an error is then told within the stream, and other workers are asked as before. What is waited for does not matter: a line, a worker, its first token.",
  }),
  clientStallTimeoutSecs: upToADay.default(120).meta({
    group: "Admission and time",
    description: "How long a client may take nothing of a stream while there is something for it, seconds.",
  }),
  continueStreams: z.preprocess(wholeOrList, z.array(glob)).default([]).meta({
    group: "Routing",
    description:
      "Models (globs) whose streams another worker goes on with when theirs is lost: a chat or completion that has begun is sent on with its text so far as a prefix, at most twice. `true` for all. What cannot be right that way (tool calls, log-probabilities, several answers, structured output) ends with an error as without it.",
  }),
  maxConnectionsPerClient: z.int().min(0).max(1_000_000).default(0).meta({
    group: "Admission and time",
    description:
      "Connections of one address at once, on each of the `threads`; one more is told 429 and closed. 0 for no bound: behind a proxy or a NAT all clients have one address.",
  }),
  clientIdleTimeoutSecs: z.int().min(0).max(86_400).default(120).meta({
    group: "Admission and time",
    description:
      "After this long a client's connection is closed on which nothing is asked, or that takes nothing of an answer that is whole, seconds; 0 for never. Longer than the clients' own pools keep one. Requests under way are not idle, however silent.",
  }),
  shutdownDelaySecs: z.number().min(0).max(3600).default(5).meta({
    group: "Admission and time",
    description:
      "After SIGTERM: how long the gateway still takes new connections while its readiness says no, so that whoever balances before it learns, seconds. Not after SIGINT.",
  }),
  shutdownGracePeriodSecs: upToADay.default(180).meta({
    group: "Admission and time",
    description:
      "And after that, how long requests may finish, seconds. Streams that are left then end with an error event.",
  }),
  retryMaxRetries: count.default(1).meta({
    group: "Retries and circuit breaker",
    aliases: ["--max-instance-failover-reroute-attempts"],
    description:
      "Second attempts of a request, on another worker and before the client has seen a byte: 0 or 1. More counts as 1: a generation is started at most twice.",
  }),
  disableRetries: z
    .boolean()
    .default(false)
    .meta({ group: "Retries and circuit breaker", description: "No second attempts." }),
  retryInitialBackoffMs: z.number().min(0).max(60_000).default(50).meta({
    group: "Retries and circuit breaker",
    description: "Wait before a second attempt at the same worker, ms. Another worker is tried at once.",
  }),
  retryMaxBackoffMs: z.number().min(0).max(600_000).default(30_000).meta({
    group: "Retries and circuit breaker",
    description: "Longest such wait, ms.",
  }),
  retryBackoffMultiplier: z.number().min(1).max(100).default(1.5).meta({
    group: "Retries and circuit breaker",
    description:
      "Growth of the wait from one attempt to the next. Taken because scripts set it; with at most one second attempt it changes nothing, which is said at start-up.",
  }),
  retryJitterFactor: z.number().min(0).max(1).default(0.2).meta({
    group: "Retries and circuit breaker",
    description: "Share of that wait that is random, 0 to 1.",
  }),
  cbFailureThreshold: count.min(1).default(10).meta({
    group: "Retries and circuit breaker",
    description:
      "Faults of a worker within the window that open its breaker, if they are at least half of its answers there.",
  }),
  cbSuccessThreshold: count.min(1).default(3).meta({
    group: "Retries and circuit breaker",
    description: "Probes in a row that must succeed to close it.",
  }),
  cbTimeoutDurationSecs: upToADay.default(60).meta({
    group: "Retries and circuit breaker",
    description:
      "How long it stays open before the first probe, seconds; doubles with each probe that fails, up to 16 times.",
  }),
  cbWindowDurationSecs: upToADay
    .default(120)
    .meta({ group: "Retries and circuit breaker", description: "Length of the window, seconds." }),
  outlierFailureThreshold: count.default(5).meta({
    group: "Retries and circuit breaker",
    description:
      "Different requests that must fail at a worker within the window (500, an error within a stream, no answer) for it to be ejected, if they are at least half of its answers there and the model's other workers do clearly better. 0: never. 5 is Envoy's number.",
  }),
  outlierEjectionSecs: secs.default(30).meta({
    group: "Retries and circuit breaker",
    description:
      "How long an ejected worker is left out before requests may prove it, seconds; doubles each time that it is ejected again soon, up to 16 times.",
  }),
  outlierMaxEjectionPercent: z.number().min(0).max(100).default(50).meta({
    group: "Retries and circuit breaker",
    description:
      "Of a model's ready workers at most this share is ejected, of an odd number the larger half; one of several may always be, and the last never.",
  }),
  slowStartSecs: z.number().min(0).max(86_400).default(30).meta({
    group: "Retries and circuit breaker",
    description:
      "A worker that is back after it was left out for faults or failures gets a tenth of its share of the requests at first, and all of it after this time, seconds. 0: at once.",
  }),
  disableCircuitBreaker: z.boolean().default(false).meta({
    group: "Retries and circuit breaker",
    description: "Workers are left out by their health checks only.",
  }),
  healthCheckEndpoint: path.default("/health").meta({
    group: "Health checks",
    description: "Path that is asked.",
  }),
  healthCheckIntervalSecs: upToADay.default(10).meta({
    group: "Health checks",
    aliases: ["--static-backend-health-check-interval"],
    description:
      "Between two checks of a worker, seconds. The field has 60; a dead worker would be asked for three minutes.",
  }),
  healthCheckTimeoutSecs: upToADay.default(5).meta({
    group: "Health checks",
    aliases: ["--static-backend-health-check-timeout-seconds", "--backend-health-check-timeout-seconds"],
    description: "For an answer, seconds.",
  }),
  healthFailureThreshold: count.min(1).default(3).meta({
    group: "Health checks",
    description: "Failed checks in a row that take a worker out.",
  }),
  healthSuccessThreshold: count.min(1).default(2).meta({
    group: "Health checks",
    description: "Answered checks in a row that bring it back.",
  }),
  disableHealthCheck: z.boolean().default(false).meta({
    group: "Health checks",
    description: "Workers count as ready once they were asked what they serve.",
  }),
  removeUnhealthyWorkers: z
    .boolean()
    .default(false)
    .meta({
      group: "Health checks",
      aliases: ["--worker-auto-recovery"],
      description: "A worker that fails its checks leaves the registry for good.",
    }),
  workerStartupTimeoutSecs: upToADay.default(1800).meta({
    group: "Health checks",
    description:
      "After this long without an answer a new worker is shown as failed, seconds; it is checked on. Large models load for many minutes.",
  }),
  workerStartupCheckInterval: upToADay.default(1).meta({
    group: "Health checks",
    description:
      "Between two checks of a worker that has not answered yet, seconds. The field has 30; a worker that is up would wait that long for work.",
  }),
  logLevel: z
    .preprocess(
      (value) => LEVEL_ALIASES.get(value) ?? value,
      z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]),
    )
    .default("info")
    .meta({
      group: "Observability",
      description: "Least level that is logged. Access lines are `info`; what stands in each line: docs/logs.md.",
    }),
  prometheusHost: host.optional().meta({
    group: "Observability",
    description:
      "Address of the metrics port; without it that of `host`, as the main port has the same page. Nobody is asked for a key there, and the page names models and the addresses of workers. Other gateways take `0.0.0.0`, whatever their `host`.",
  }),
  prometheusPort: port.default(29_000).meta({
    group: "Observability",
    description:
      "Port of its own for `/metrics`, where scrapers of other gateways look; 0 for none. The main port has them too.",
  }),
});

type Checked = DeepReadonly<z.output<typeof configSchema>>;
export type Config = Omit<Checked, "initialWorkers"> & { readonly initialWorkers: readonly InitialWorker[] };
export type ConfigKey = keyof Config;
export type WorkerConfig = DeepReadonly<z.output<typeof workerSchema>>;
/** A worker, and where it was named; without `source` in the file. It is no option: `loadConfig` sets it. */
export type InitialWorker = WorkerConfig & { readonly source?: WorkerOrigin };

type DeepReadonly<T> = T extends Secret ? T : { readonly [K in keyof T]: DeepReadonly<T[K]> };

/** What an option says of itself. */
export function optionMeta(key: ConfigKey): OptionMeta {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- every option above has one; zod's registry does not know its type
  return z.globalRegistry.get(configSchema.shape[key]) as unknown as OptionMeta;
}
