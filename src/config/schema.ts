import { z } from "zod";
import type { WorkerOrigin } from "./given-workers.ts";
import { canonicalPolicy, POLICY_NAMES } from "../policy/policy-names.ts";
import { CARRIES_USER, carriesUser, parseAddress, withoutUser } from "../util/address-user.ts";
import { MAX_RANKS, parseWorkerUrl } from "../util/parse-worker-url.ts";
import { Secret } from "../util/secret.ts";
import { WORKER_TYPES } from "../util/worker-type.ts";
import { DNS_OPTIONS } from "./dns-options.ts";
import { KUBERNETES_OPTIONS } from "./kubernetes-options.ts";
import { modelAliasSchema, modelRouteSchema } from "./model-routes.ts";
import { checkPatternOptions, patternOptions, POLICY_OPTIONS } from "./policy-options.ts";

/**
 * One entry for each option. It gives the type, default, flag, environment name and documentation: the key
 * `requestTimeoutSecs` is `request_timeout_secs` in the file, `--request-timeout-secs` on the command line and
 * `POINTSMAN_REQUEST_TIMEOUT_SECS` in the environment. `npm run generate` writes docs/config.md and config.schema.json.
 */
export interface OptionMeta {
  readonly description: string;
  readonly group: OptionGroup;
  /** The flag, where it is not the key in kebab case. */
  readonly flag?: string;
  /** Further names of the flag, from other gateways. */
  readonly aliases?: readonly string[];
  /** The option exists in the file only, because a flag cannot hold its structure. */
  readonly fileOnly?: boolean;
  /** The policies that read the option; undefined where it is not one of policies'. */
  readonly policies?: readonly string[];
  /** The option has an effect only where one of these is on or given, or one of `policies` is used. */
  readonly onlyWith?: readonly ConfigKey[];
}

/** Groups of options, in the order of the page and of `--help`. */
export const OPTION_GROUPS = [
  "Listening",
  "Workers",
  "Kubernetes",
  "Tokens",
  "Routing",
  "Admission and time",
  "Retries and circuit breaker",
  "Health checks",
  "Observability",
] as const;
export type OptionGroup = (typeof OPTION_GROUPS)[number];

/** Python's names for some levels. */
const LEVEL_ALIASES: ReadonlyMap<unknown, string> = new Map([
  ["warning", "warn"],
  ["critical", "fatal"],
]);

/** The text that a secret prints as. */
const REDACTED = new Secret("").toString();

const DAY_SECS = 86_400;
const secs = z.number().positive().max(DAY_SECS);
/** A time bound of more than a day means no bound: the option becomes a day, and a notice at start-up says so. */
const upToADay = z.preprocess(
  (value) => (typeof value === "number" && value > DAY_SECS && Number.isFinite(value) ? DAY_SECS : value),
  secs,
);
const count = z.int().min(0).max(1_000_000);
const port = z.int().min(0).max(65_535);
/** `$NAME`, `${NAME}` and `$(NAME)`, the variables of files and of Kubernetes, and LiteLLM's `os.environ/NAME`. */
const PLACEHOLDER = /^(\$[A-Z_][A-Z0-9_]*|\$\{[^}]*\}|\$\([^)]*\)|os\.environ\/.*)$/;
// oxlint-disable-next-line no-control-regex -- these are what is looked for
const CONTROL = /[\u0000-\u001F\u007F]/;
/** What RFC 6750 lets a bearer token have, and the rest of printable ASCII; servers and clients disagree about other bytes. */
const SENDABLE = /^[\u0021-\u007E]*$/;
const secret = z
  .string()
  .min(1)
  // Each has an option beside it that names a file with the secret (`secret-files.ts`).
  .meta({ isSecret: true })
  // Someone may save the output of `check` as a file. Without this check, the gateway would run with a key that everybody knows.
  .refine((value) => value !== REDACTED, "is what stands in print for a secret; put the secret itself here")
  .refine((value) => !PLACEHOLDER.test(value), "is a variable that nobody has filled in, not a secret")
  // Nobody could send such a key, and a worker would get a broken request with it.
  .refine(
    (value) => !CONTROL.test(value),
    "has a line break or another control character, which no header can carry; put the secret alone there, on one line",
  )
  .refine(
    (value) => CONTROL.test(value) || SENDABLE.test(value),
    "has a space or a character beyond ASCII, which no bearer token can have",
  )
  .transform((value) => new Secret(value));
const name = z.string().min(1).max(256);
const policyName = name.transform(canonicalPolicy);
const filePath = z.string().min(1);
const path = z.string().min(1).startsWith("/", "must begin with /");
const host = z
  .string()
  .min(1)
  .transform((value) => value.replace(/^\[(.*)\]$/, "$1"));
/** The name of a certificate: a host name or an IP address. */
const serverName = z
  .string()
  .max(253)
  .regex(/^[A-Za-z0-9._:-]+$/, "must be a host name, as it stands in the worker's certificate");
const headerName = z
  .string()
  .regex(/^[A-Za-z0-9-]{1,64}$/, "must be a header name")
  .transform((value) => value.toLowerCase());

const origin = z
  .string()
  .regex(/^(\*|https?:\/\/[^/\s,@]+)$/, "must be an origin such as https://example.com without a path, or *");

/** Headers that carry credentials or framing: no list in the configuration may pass them on. */
const NEVER_FORWARDED = new Set([
  "authorization",
  "x-api-key",
  "x-pointsman-admin-key",
  "x-pointsman-explain",
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

const sessionHeader = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, "must be a header name")
  .transform((value) => value.toLowerCase())
  .refine((header) => !NEVER_FORWARDED.has(header), "carries credentials or framing and names no session");

const workerUrl = z.string().transform((value, context) => {
  const parsed = parseWorkerUrl(value);
  if (parsed.ok) return parsed.url;
  const given = `, not ${withoutUser(JSON.stringify(value)).slice(0, 256)}`;
  context.addIssue({
    code: "custom",
    message: `must be the address of a worker${given}: ${parsed.reason}`,
    input: value,
  });
  return z.NEVER;
});

/** Health checks of one worker, where they differ from the defaults. */
const workerHealthSchema = z.strictObject({
  endpoint: path.optional(),
  checkIntervalSecs: secs.optional(),
  timeoutSecs: secs.optional(),
  failureThreshold: count.min(1).optional(),
  successThreshold: count.min(1).optional(),
  disableHealthCheck: z.boolean().optional(),
});

/** A bound, because every listing of workers and every candidate of a policy carries the labels. */
const MAX_LABELS = 64;

/** Labels of a worker: names and values. */
export const workerLabels = z
  .record(z.string().max(128), z.string().max(1024))
  .refine((labels) => Object.keys(labels).length <= MAX_LABELS, `must be ${MAX_LABELS} labels at most`);

const isWithoutUser = (address: string): boolean => !carriesUser(address);

/** Whether a text is the address of a collector: a URL over HTTP, or a host and a port. */
function isCollector(text: string): boolean {
  const url = parseAddress(text);
  return url !== null && /^(https?|grpcs?):$/.test(url.protocol) && !/\s/.test(text);
}

const kvEndpoint = z
  .string()
  .max(512)
  .regex(
    /^@?tcp:\/\/(\*|\{host\}|\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5}|\{port([+-]\d{1,5})?\})$/,
    "must be a ZeroMQ address such as tcp://{host}:5557; {host}, {port} and {port+1} stand for those of the worker",
  );
const kvTopic = z.string().max(512);

/** Where a worker's engine publishes KV events. */
const kvEventsSchema = z.strictObject({
  endpoint: kvEndpoint,
  replayEndpoint: kvEndpoint
    .refine((value) => !/^@|\*/.test(value), "must be an address where the engine waits")
    .optional(),
  topic: kvTopic.default(""),
  ranks: z.int().min(1).max(31).default(1),
});

/** How the TLS of one worker differs from that of the others. */
const workerTlsSchema = z
  .strictObject({
    serverName: serverName.optional(),
    caCertPath: filePath.optional(),
    clientCertPath: filePath.optional(),
    clientKeyPath: filePath.optional(),
    insecureSkipVerify: z.boolean().optional(),
  })
  .refine(
    ({ clientCertPath, clientKeyPath }) => (clientCertPath === undefined) === (clientKeyPath === undefined),
    "must have both client_cert_path and client_key_path, or neither",
  );

const dpSize = z.int().min(1).max(MAX_RANKS);

/** A worker, in the file and over the API. */
export const workerSchema = z.strictObject({
  url: workerUrl,
  modelId: name.optional(),
  apiKey: secret.optional(),
  workerType: z.enum(WORKER_TYPES).default("regular"),
  /** For a prefill worker: the port where decode workers fetch its KV cache. */
  bootstrapPort: port.min(1).optional(),
  policy: policyName.optional(),
  labels: workerLabels.default({}),
  priority: z.number().min(0).max(1_000_000).default(50),
  cost: z.number().min(0).max(1_000_000).default(1),
  cordoned: z.boolean().default(false),
  /** Prompt tokens that its caches hold. */
  kvCapacityTokens: z.int().min(1).max(1_000_000_000_000).optional(),
  health: workerHealthSchema.default({}),
  kvEvents: z.union([z.literal(false), kvEventsSchema]).optional(),
  tls: workerTlsSchema.optional(),
  /** Most data-parallel ranks behind the address that are workers of their own; 1: none. */
  dpSize: dpSize.optional(),
});

const glob = z
  .string()
  .min(1)
  .max(256)
  // oxlint-disable-next-line no-control-regex -- it matches control characters
  .regex(/^[^\u0000-\u001f\u007f]*$/, "must not have control characters")
  // A glob takes them literally, so that they would match nothing.
  .regex(/^[^[\]{}]*$/, "must not have [ ] or { }: only * and ? are wild cards");

/** Reads `true` and `false` in place of a list of models: all of them, or none. */
function wholeOrList(value: unknown): unknown {
  const only: unknown = Array.isArray(value) && value.length === 1 ? value[0] : value;
  if (only === true || only === "true") return ["*"];
  return only === false || only === "false" ? [] : value;
}

const pattern = z
  .strictObject({
    match: glob,
    policy: policyName,
    config: patternOptions.default({}),
  })
  .superRefine(checkPatternOptions);

/** All options of the gateway, keys in camel case. */
export const configSchema = z.strictObject({
  host: host.default("127.0.0.1").meta({
    group: "Listening",
    description:
      "Address to listen on. The default accepts this machine only; containers set `0.0.0.0`. Without an `admin_api_key` the administration is open to this machine only, because a caller who can add workers can send requests anywhere.",
  }),
  port: port.default(30_000).meta({
    group: "Listening",
    description: "Port to listen on; 0 takes a free one. The default is the port of SGLang's routers.",
  }),
  apiKey: secret.optional().meta({
    group: "Listening",
    description:
      "Key that clients must send, as `Authorization: Bearer` or `x-api-key`. Without it every caller is served.",
  }),
  apiKeyFile: z.string().min(1).optional().meta({
    group: "Listening",
    description:
      "File with the `api_key`, such as a mounted Kubernetes secret; the line break at its end is cut. It is read again at each reload.",
  }),
  apiKeys: z
    .array(
      z.strictObject({
        name: name.regex(/^[^\p{C}]*$/u, "must be one line of text"),
        key: secret,
        roles: z
          .array(z.enum(["client", "viewer", "operator", "admin"]))
          .min(1)
          .default(["client"]),
        models: z.array(glob).max(256).optional(),
        maxConcurrentRequests: z.int().min(1).max(1_000_000).optional(),
        requestsPerMinute: z.int().min(1).max(100_000_000).optional(),
        tokensPerMinute: z.int().min(1).max(1_000_000_000_000).optional(),
        priority: z.enum(["high", "normal", "low"]).default("normal"),
        expiresAt: z.iso.datetime({ offset: true, error: "must be a time such as 2027-01-31T00:00:00Z" }).optional(),
      }),
    )
    .default([])
    .meta({
      group: "Listening",
      fileOnly: true,
      description:
        "Keys of several clients. Each has `name` and `key` (or `key_file`, the path of a file with it), and may have limits of its own: `max_concurrent_requests`, `requests_per_minute` and `tokens_per_minute` (429 beyond them), `models` (patterns of those that it may use), `priority` (`high`, `normal` or `low`: higher priority leaves a queue first; a request may lower its own with `x-request-priority`), `expires_at` (a time such as 2027-01-31T00:00:00Z), and `roles` (`client`, `viewer`, `operator`, `admin`; a client unless it says so). docs/keys.md has more.",
    }),
  keyStore: z.string().min(1).optional().meta({
    group: "Listening",
    description:
      "File of SQLite with keys that are made, rotated, limited and revoked while the gateway runs (`pointsman keys`, `/keys`), and with the usage of all keys. It is made where there is none, and has digests, no keys. With it, callers need a key from the first moment on. docs/keys.md has more.",
  }),
  metricsKeys: count.max(10_000).default(50).meta({
    group: "Observability",
    description:
      "Keys that the metrics name, the first ones that are used; all others are one series. Each key has up to four series. `GET /usage` has all keys.",
  }),
  auditLog: z.string().min(1).optional().meta({
    group: "Observability",
    description:
      "File that gets a JSON line for each change of the administration: who, what, from where, and the result; never a secret. Without it the lines are in the log.",
  }),
  auditLogMaxMb: z.int().min(1).max(100_000).default(100).meta({
    group: "Observability",
    description:
      "Size at which the file of `audit_log` is renamed to `FILE.1`, in the place of the one before, MB. 100 MB hold about 400,000 changes.",
  }),
  jwtIssuer: z
    .string()
    .regex(/^https?:\/\/\S+$/, "must be the address of an issuer, as its tokens name it in `iss`")
    .refine(isWithoutUser, CARRIES_USER)
    .optional()
    .meta({
      group: "Listening",
      description:
        "Issuer of tokens (JWT) that callers may send in the place of a key. The gateway reads its keys at the start, every ten minutes, and when a token has another one; while the issuer is away, its last good keys stay in force. With it, callers need a token or a key. docs/keys.md has more.",
    }),
  jwtAudience: z.string().min(1).optional().meta({
    group: "Listening",
    description:
      "What tokens must be for: their `aud`. `jwt_issuer` needs it: else tokens for other services of the issuer would open the gateway.",
  }),
  jwtJwksUri: z
    .string()
    .regex(/^https?:\/\/\S+$/, "must be an address that begins with https:// or http://")
    .refine(isWithoutUser, CARRIES_USER)
    .optional()
    .meta({
      group: "Listening",
      description:
        "Address of the issuer's keys. Without it, the one that the issuer's discovery document names (`/.well-known/openid-configuration`).",
    }),
  jwtAlgorithms: z
    .array(z.enum(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]))
    .min(1)
    .default(["RS256", "ES256"])
    .meta({
      group: "Listening",
      description:
        "Algorithms of tokens' signatures that are taken: `RS256`, `ES256` and their like. None with a shared secret.",
    }),
  jwtNameClaim: z.string().min(1).max(256).default("sub").meta({
    group: "Listening",
    description:
      "Claim of a token with the name of its bearer, as logs, metrics and usage show it. A claim within another has a dot before it: `user.email`.",
  }),
  jwtRoleClaim: z.string().min(1).max(256).default("roles").meta({
    group: "Listening",
    description:
      "Claim of a token with its roles: a list, or a text with spaces between them. A claim within another has a dot before it, such as Keycloak's `realm_access.roles`; names that have dots themselves are written as they are.",
  }),
  jwtRoleMapping: z
    .array(
      z
        .string()
        .regex(
          /^.+=(client|viewer|operator|admin|user)$/,
          "must be such as `platform-team=admin`; the roles are client, viewer, operator and admin",
        ),
    )
    .default([])
    .meta({
      group: "Listening",
      description:
        "Roles under the issuer's names, such as `platform-team=admin`; `user` is another word for `client`. With it, a token without such a role opens nothing. Without it, the names are the gateway's, and a token without one is a client's.",
    }),
  jwtModelsClaim: z.string().min(1).max(256).default("models").meta({
    group: "Listening",
    description:
      "Claim of a token with the patterns of models that it may use: a list, or a text with spaces between them. A token without it may use all. A claim within another is named as in `jwt_role_claim`.",
  }),
  jwtRequestsPerMinute: z
    .int()
    .min(0)
    .max(100_000_000)
    .default(0)
    .meta({
      group: "Listening",
      onlyWith: ["jwtIssuer"],
      description:
        "Requests a minute of each bearer of a token, by `jwt_name_claim`; 0 for no bound. The limits of bearers are counted as those of keys are (docs/keys.md), for up to 16,384 bearers at a time.",
    }),
  jwtTokensPerMinute: z
    .int()
    .min(0)
    .max(1_000_000_000_000)
    .default(0)
    .meta({
      group: "Listening",
      onlyWith: ["jwtIssuer"],
      description: "Tokens of prompts and answers a minute of each bearer of a token; 0 for no bound.",
    }),
  jwtMaxConcurrentRequests: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(0)
    .meta({
      group: "Listening",
      onlyWith: ["jwtIssuer"],
      description: "Requests in flight at once of each bearer of a token; 0 for no bound.",
    }),
  authFailuresPerMinute: count.default(60).meta({
    group: "Listening",
    description:
      "Wrong keys of one address (of IPv6: of one network of 64 bits) in a minute that are answered with 401 and have a line in the log. Further ones get a short 429 and are only counted; right keys from the same address are served all the while. 0 for no bound. 60 show a misconfigured client, and keep a flood out of the log.",
  }),
  adminPort: port.optional().meta({
    group: "Listening",
    description:
      "Port of the administration: workers, policies, caches, metrics. With it these routes are on this port only; without it they are on the main port, where existing tools expect them.",
  }),
  adminHost: host.default("127.0.0.1").meta({
    group: "Listening",
    description:
      "Address of the admin port. Without an `admin_api_key` the port is open to this machine only, whatever the address.",
  }),
  adminApiKey: secret.optional().meta({
    group: "Listening",
    description:
      "Key of the administration. Callers on other machines need it, and no serving key opens the administration then. Without it, callers on this machine use the `api_key`, or no key where there is none.",
  }),
  adminApiKeyFile: z.string().min(1).optional().meta({
    group: "Listening",
    description: "File with the `admin_api_key`, as `api_key_file`.",
  }),
  watchConfig: z.boolean().default(false).meta({
    group: "Listening",
    description:
      "Look at the configuration file once a second, and at the files of secrets that it names, and take what they say as after SIGHUP. Links are followed, so that mounted config maps and secrets of Kubernetes are taken when they change. Off by default: saving a file should not change a gateway that nobody has told to (docs/reload.md).",
  }),
  reusePort: z.boolean().default(false).meta({
    group: "Listening",
    description:
      "Share the ports (serving, administration, metrics) with another gateway, so that a new gateway can take over from an old one. Without it, a port that is in use is an error. The new gateway does not get the old one's state: workers that were added over the API, the prefix index, breakers. Any process of the same user can join a shared port. The gateway joins once each of its workers has answered or failed a first check, after 10 s at most. When the old gateway leaves, Linux resets connections that wait to be accepted, unless `net.ipv4.tcp_migrate_req` is 1.",
  }),
  tlsCertPath: filePath.optional().meta({
    group: "Listening",
    description:
      "File with the certificate (PEM) of the main port, followed by those between it and its authority. With it the port speaks TLS 1.2 and 1.3, and nothing else. The file is read again every 5 s, and at SIGHUP: a changed certificate is in force for the next connection, and those that are open go on (docs/tls.md).",
  }),
  tlsKeyPath: filePath.optional().meta({
    group: "Listening",
    description: "File with the private key (PEM, without a passphrase) of `tls_cert_path`.",
  }),
  tlsCertificates: z
    .array(z.strictObject({ certPath: filePath, keyPath: filePath }))
    .max(1000)
    .default([])
    .meta({
      group: "Listening",
      fileOnly: true,
      description:
        "Further certificates for the ports that speak TLS, each with `cert_path` and `key_path`. A client that asks for a server name (SNI) gets the one that is for it, by the host names in the certificates; every other client gets that of `tls_cert_path`. Their files are read again like that one's (docs/tls.md).",
    }),
  tlsClientCaPath: filePath.optional().meta({
    group: "Listening",
    description:
      "File with the certificates (PEM) of authorities. With it, clients of the main port must show a certificate of one of them.",
  }),
  tlsMinVersion: z
    .enum(["1.2", "1.3"])
    .default("1.2")
    .meta({ group: "Listening", description: "Oldest version of TLS that the ports speak: `1.2` or `1.3`." }),
  adminTls: z.boolean().default(true).meta({
    group: "Listening",
    description:
      "With `tls_cert_path`, the admin port speaks TLS too, with the same certificate. The admin key would otherwise cross the network in the clear.",
  }),
  adminTlsClientCaPath: filePath.optional().meta({
    group: "Listening",
    description: "As `tls_client_ca_path`, for the admin port.",
  }),
  prometheusTls: z.boolean().default(false).meta({
    group: "Listening",
    description:
      "With `tls_cert_path`, the metrics port speaks TLS too. By default it does not, as in other gateways: scrapers expect it plain.",
  }),
  prometheusTlsClientCaPath: filePath.optional().meta({
    group: "Listening",
    description: "As `tls_client_ca_path`, for the metrics port.",
  }),
  maxPayloadSize: z.int().min(1024).max(2_147_483_647).default(67_108_864).meta({
    group: "Listening",
    description:
      "Largest request body, bytes, both compressed and decoded. 64 MiB holds a few pictures in base64; the 512 MiB of sglang-router let one client take half a gigabyte.",
  }),
  corsAllowedOrigins: z.array(origin).default([]).meta({
    group: "Listening",
    description: "Origins that browsers may call from; `*` for any. None by default: other gateways allow all.",
  }),
  requestIdHeaders: z.array(headerName).default(["x-request-id", "x-correlation-id", "x-trace-id", "request-id"]).meta({
    group: "Listening",
    description:
      "Headers in which a client may send its own request id. The first header of this list that a request has is used.",
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
        "Client headers that workers get in addition to the built-in ones (accept, user-agent, traceparent, tracestate, anthropic-version, anthropic-beta, openai-beta).",
    }),
  initialWorkers: z
    .array(workerSchema)
    .default([])
    .meta({
      group: "Workers",
      flag: "--worker",
      aliases: ["--worker-urls"],
      description:
        "Workers known from the start. In the file each has `url`, `model_id`, `api_key` (or `api_key_file`), `policy`, `labels`, `priority`, `cost`, `kv_capacity_tokens`, `health`, `tls`, `dp_size`. As flags: `--worker URL`, repeatable, or `--worker-urls URL...`; the two make one list. `http(s)://` and `grpc(s)://` say what the worker speaks; an address without a scheme means HTTP.",
    }),
  workersFile: filePath.optional().meta({
    group: "Workers",
    description:
      "File with a list of workers in YAML or JSON, each as in `initial_workers`. It is looked at once a second, and what it names is what is there, from this source: a program, or a mounted config map of Kubernetes, may add and remove workers by it. A file that is missing or has a mistake changes nothing, and the log and `GET /workers` say so ([workers-file.md](workers-file.md)).",
  }),
  workerApiKey: secret.optional().meta({
    group: "Workers",
    description:
      "Key for the workers known from the start that have no key of their own. Without it, workers named by flags or variables get the `api_key`, if that was also a flag or a variable, as sglang-router does. Workers added over the API get neither key.",
  }),
  workerApiKeyFile: z.string().min(1).optional().meta({
    group: "Workers",
    description: "File with the `worker_api_key`, as `api_key_file`.",
  }),
  ...DNS_OPTIONS,
  ...KUBERNETES_OPTIONS,
  caCertPaths: z
    .array(filePath)
    .default([])
    .meta({
      group: "Workers",
      aliases: ["--ca-cert-path"],
      description:
        "Files with the certificates (PEM) of authorities that sign workers' certificates (`https://`, `grpcs://`), in addition to the public ones and those of the variable NODE_EXTRA_CA_CERTS. A worker's own `tls.ca_cert_path` replaces all of them (docs/tls.md).",
    }),
  clientCertPath: filePath.optional().meta({
    group: "Workers",
    description:
      "File with the certificate (PEM) that the gateway shows to workers, for mutual TLS. The file is read again every 5 s, and at SIGHUP.",
  }),
  clientKeyPath: filePath.optional().meta({
    group: "Workers",
    description: "File with the private key (PEM, without a passphrase) of `client_cert_path`.",
  }),
  workerServerName: serverName.optional().meta({
    group: "Workers",
    description:
      "Name that workers' certificates must be for, and that workers are asked for (SNI), in place of the host of their address. For workers that are known by IP addresses, as pods are. A worker's own `tls.server_name` comes before it.",
  }),
  enableIgw: z.boolean().default(false).meta({
    group: "Workers",
    description:
      "One gateway for many models: a request must name its model. Without it a request without `model` goes to any worker.",
  }),
  kvEventsEndpoint: kvEndpoint.optional().meta({
    group: "Workers",
    description:
      "Where the engines publish their KV events over ZeroMQ, for example `tcp://{host}:5557`: `{host}` and `{port}` stand for those of each worker's address, `{port+N}` for a port beside it. With `*` as host, or `@` before the address, the gateway waits there and engines connect to it. A worker's own `kv_events` comes before it; `kv_events: false` is none. Without both, the gateway knows of caches what it sent (docs/kv-events.md).",
  }),
  kvEventsReplayEndpoint: kvEndpoint.optional().meta({
    group: "Workers",
    description:
      "Where engines answer for earlier events (vLLM's `replay_endpoint`), for example `tcp://{host}:5558`. Without it, what was published before the gateway came, or while a connection was lost, is not known.",
  }),
  kvEventsTopic: kvTopic.default("").meta({
    group: "Workers",
    description:
      "Beginning of the topic of KV events; `{host}` and `{port}` stand for those of the worker. Needed where several engines publish to one address.",
  }),
  kvEventsMaxBytes: z.int().min(1_048_576).max(17_179_869_184).default(134_217_728).meta({
    group: "Workers",
    description:
      "Memory for what one worker's KV events tell, bytes; a block of 16 tokens takes some 200. The default is enough for 10 million tokens. With more, the gateway knows of that worker's cache what it sent.",
  }),
  pdDisaggregation: z
    .boolean()
    .default(false)
    .meta({
      group: "Workers",
      aliases: ["--vllm-pd-disaggregation"],
      description:
        "Prefill and decode on different workers, named by `--prefill URL [BOOTSTRAP_PORT]` and `--decode URL`, repeatable, or by `worker_type` in the file and over the API. Without it and without `enable_igw`, prefill and decode workers are refused; with it, regular workers are: the two kinds would not get the same requests.",
    }),
  enableGrpc: z.boolean().default(false).meta({
    group: "Tokens",
    description:
      "Load the tokenizer of `tokenizer_path` before listening, and end the start if it cannot be loaded. Without it, a tokenizer is loaded when the first gRPC worker of its model is ready.",
  }),
  tokenizerPath: z.string().min(1).optional().meta({
    group: "Tokens",
    description:
      "Folder with a tokenizer.json, for gRPC workers, which take tokens, and for HTTP workers with KV events. Without it the gateway asks each gRPC worker for its tokenizer (`GetTokenizer`). A worker's label `tokenizer_path` names another folder.",
  }),
  tokenizerFolder: z.string().min(1).optional().meta({
    group: "Tokens",
    description:
      "Callers of the API may name tokenizers and templates below this folder (`POST /v1/tokenizers`, a worker's label `tokenizer_path`). Without it the API takes no path, because the gateway may read files that its caller may not.",
  }),
  chatTemplate: z.string().min(1).optional().meta({
    group: "Tokens",
    description: "File with a Jinja chat template that replaces the model's own.",
  }),
  toolCallParser: name.optional().meta({
    group: "Tokens",
    description:
      "Parser of tool calls: a name of docs/parsers.md or `none`. Without it, the model's name and chat template decide. It applies to gRPC workers, and to HTTP workers of the models in `parse_output`; other HTTP workers parse their own output.",
  }),
  reasoningParser: name.optional().meta({
    group: "Tokens",
    description:
      "Parser of reasoning: a name of docs/parsers.md or `none`. Without it, the model's name and chat template decide.",
  }),
  parseOutput: z.preprocess(wholeOrList, z.array(glob)).default([]).meta({
    group: "Tokens",
    description:
      "Models (globs) whose HTTP workers return the model's text unparsed. The gateway then finds tool calls and reasoning in it, with `tool_call_parser` and `reasoning_parser`, or with the parsers for the model's name. Chat completions only. `true`, or the flag alone, for all models. `continue_streams` does not continue a stream in which calls or reasoning have appeared.",
  }),
  tokenizerCacheBytes: z
    .int()
    .min(0)
    .max(17_179_869_184)
    .default(52_428_800)
    .meta({
      group: "Tokens",
      aliases: ["--tokenizer-cache-l1-max-memory"],
      description: "Memory for the tokens of prompt prefixes, bytes, for each model on each thread; 0 for none.",
    }),
  modelPath: name.optional().meta({
    group: "Workers",
    aliases: ["--model"],
    description: "Model of workers that do not report which model they serve.",
  }),
  dpAware: z.boolean().default(false).meta({
    group: "Workers",
    description:
      "Data-parallel ranks behind a worker's address are workers of their own, named `ADDRESS@RANK`: each engine is asked how many it has, and each request names its rank. Without it an engine is one worker and spreads requests over its ranks itself. For SGLang and vLLM, over HTTP and gRPC. docs/data-parallel.md has more.",
  }),
  dpSize: dpSize.optional().meta({
    group: "Workers",
    aliases: ["--intra-node-data-parallel-size"],
    description:
      "Most data-parallel ranks of a worker's address that are workers of their own, and how many there are where an engine does not say. More than 1 has the effect of `dp_aware`; 1 leaves the ranks to the engine. A worker's own `dp_size` comes before it. Without it, as many as the engine says.",
  }),
  drainTimeoutSecs: upToADay.default(180).meta({
    group: "Workers",
    aliases: ["--drain-settle-secs"],
    description:
      "Time that a removed worker has to finish its requests, seconds. Long generations take minutes; the 5 s of other gateways would cut them.",
  }),
  defaultPolicy: policyName.default("least_ttft").meta({
    group: "Routing",
    flag: "--policy",
    description: `Policy of models without a pattern and without a worker's hint: ${POLICY_NAMES.join(", ")}, or the one of \`policy_module\`.`,
  }),
  prefillPolicy: policyName.optional().meta({
    group: "Routing",
    onlyWith: ["pdDisaggregation", "enableIgw"],
    description:
      "Policy that chooses the prefill worker where neither a pattern nor a worker's hint names one. Without it, the model's policy.",
  }),
  decodePolicy: policyName.optional().meta({
    group: "Routing",
    onlyWith: ["pdDisaggregation", "enableIgw"],
    description:
      "Policy that chooses the decode worker where neither a pattern nor a worker's hint names one. Without it, the model's policy.",
  }),
  pdSkipPrefill: z
    .boolean()
    .default(true)
    .meta({
      group: "Routing",
      onlyWith: ["pdDisaggregation", "enableIgw"],
      description:
        "Let a decode worker prefill the prompt itself where that costs less than a prefill worker and the hand-over of the KV cache. For policies that choose both workers at once, and connectors whose decode workers can do so (docs/pd.md).",
    }),
  modelPolicies: z
    .strictObject({ patterns: z.array(pattern).default([]) })
    .default({ patterns: [] })
    .meta({
      group: "Routing",
      fileOnly: true,
      description:
        "`patterns`: a list of `match` (a glob on the model's id), `policy` and `config`. The first pattern that matches is used.",
    }),
  modelAliases: z
    .array(modelAliasSchema)
    .default([])
    .meta({
      group: "Routing",
      flag: "--model-alias",
      aliases: ["--static-aliases"],
      description:
        "Names that clients may ask for in place of a model's own: `NAME=MODEL`, repeatable. The client sees NAME in the answer and in `/v1/models`. docs/model-routes.md",
    }),
  modelRoutes: z.array(modelRouteSchema).default([]).meta({
    group: "Routing",
    fileOnly: true,
    description:
      "Names that clients may ask for, with the models that answer. Each has `model` (the name), `targets` (models that divide the requests by `weight` or `canary_percent`, or take those that `match`), `fallbacks` (models that are asked in order when the target cannot answer) and `listed` (whether `/v1/models` shows it). docs/model-routes.md",
  }),
  sessionHeaders: z
    .array(sessionHeader)
    .default([])
    .meta({
      group: "Routing",
      aliases: ["--session-key", "--routing-key-header", "--routing-key-headers"],
      description:
        "Headers of your own that name the session of a request. They are read before those that are known (docs/policies.md#routing-key).",
    }),
  stickySessions: z
    .boolean()
    .default(false)
    .meta({
      group: "Routing",
      aliases: ["--routing-key-override"],
      description:
        "Requests with one routing key (docs/policies.md) stay on one worker, with any policy: it chooses a worker for the first of them, and again where the worker cannot take one, or where `sticky_override_secs` says so.",
    }),
  stickyOverrideSecs: z
    .number()
    .min(0)
    .max(86_400)
    .default(1)
    .meta({
      group: "Routing",
      onlyWith: ["stickySessions"],
      description:
        "With `sticky_sessions`: a session leaves its worker where waiting there takes so many seconds longer than waiting elsewhere and prefilling the whole prompt there. 86400 for never.",
    }),
  shadowPolicy: policyName.optional().meta({
    group: "Routing",
    description:
      "Policy that is evaluated on live traffic beside the real one of each model: it chooses too, and no request goes where it says. Metrics count how often both agree, and what its choices would have cost (docs/decisions.md). Each choice takes about three times as long. Prefill and decode workers have none.",
  }),
  shadowPolicies: z.array(pattern).default([]).meta({
    group: "Routing",
    fileOnly: true,
    description:
      "Shadow policies by model: a list of `match` (a glob on the model's id), `policy` and `config`. The first that matches is used; models without a match have the `shadow_policy`.",
  }),
  policyModule: z.string().min(1).optional().meta({
    group: "Routing",
    description: "TypeScript file that exports a policy, which can then be named like a built-in one.",
  }),
  ...POLICY_OPTIONS,
  threads: z.int().min(0).max(64).default(1).meta({
    group: "Admission and time",
    description:
      "Threads that serve requests; 0 takes one for each core, at most 8. The default, one, is enough for some thousand requests a second; each further thread costs some 20 MB. The kernel chooses the thread of a connection.",
  }),
  maxConcurrentRequests: z.int().min(-1).max(1_000_000).default(-1).meta({
    group: "Admission and time",
    description: "Requests in flight at once; -1 or 0 for no bound.",
  }),
  maxConcurrentRequestsPerModel: z.int().min(-1).max(1_000_000).default(-1).meta({
    group: "Admission and time",
    description: "Requests in flight at once for each model, with a queue for each model; -1 or 0 for no bound.",
  }),
  maxRequestBytesInFlight: z.int().min(1_048_576).max(1_099_511_627_776).default(1_073_741_824).meta({
    group: "Admission and time",
    description:
      "Bytes that the gateway may hold of all requests in flight together: the parts of their bodies that have arrived, compressed and decoded, and requests that wait behind another on their connection. Beyond it, requests get 503. It bounds memory, as bodies differ in size a thousandfold.",
  }),
  maxEventLoopDelayMs: z.number().min(0).max(60_000).default(500).meta({
    group: "Admission and time",
    description:
      "How late the event loop of a thread may be before the thread refuses new inference requests with 503, ms; 0 for no bound. Nine in ten measurements of the last second must be within it. Less than 20 is usual. On a machine with eight times the work that it can do we saw 100 to 250, where it is still better to serve requests than to refuse them.",
  }),
  maxResidentBytes: z.int().min(0).max(1_099_511_627_776).optional().meta({
    group: "Admission and time",
    description:
      "Resident memory of the process, bytes, beyond which new inference requests get 503 and answers close their connection; 0 for no bound. The default is nine tenths of the container's limit, where it has one. A request that is the only one is served in any case.",
  }),
  queueSize: count.default(100).meta({
    group: "Admission and time",
    description:
      "Requests that may wait while `max_concurrent_requests` (or the model's bound) is reached; further ones get 503.",
  }),
  queueTimeoutSecs: upToADay
    .default(60)
    .meta({ group: "Admission and time", description: "Longest wait in the queue, seconds." }),
  requestTimeoutSecs: upToADay.default(1800).meta({
    group: "Admission and time",
    description:
      "Longest time of a request, from its first byte to the last byte of its answer, seconds. Long generations are normal.",
  }),
  bodyStallTimeoutSecs: upToADay.default(30).meta({
    group: "Admission and time",
    aliases: ["--stream-body-stall-timeout-secs"],
    description:
      "Longest pause of a client within a request's body, seconds. A body must also arrive at 1 KiB a second or more on average, or the request is given up.",
  }),
  connectTimeoutSecs: upToADay.default(2).meta({
    group: "Admission and time",
    description:
      "Time for a worker to accept a connection, seconds. A worker in the same data centre answers within milliseconds.",
  }),
  maxConnectionsPerWorker: z.int().min(0).max(65_535).default(8192).meta({
    group: "Admission and time",
    description:
      "Connections to one worker at once, over all threads, without those of health checks; 0 for no bound. Further requests wait in order, at most `connect_timeout_secs`, and then go to another worker. No engine runs this many requests at once; with four times as many, this machine would run out of ports towards the worker.",
  }),
  firstByteTimeoutSecs: upToADay.default(600).meta({
    group: "Admission and time",
    description:
      "Time from the end of the request to the first byte of the answer, seconds. An answer that is not streamed begins only when it is complete.",
  }),
  idleTimeoutSecs: upToADay.default(120).meta({
    group: "Admission and time",
    description:
      "Longest silence of a worker within an answer, seconds. Tokens arrive many times a second; a worker that sends none for two minutes hangs.",
  }),
  streamKeepAliveSecs: z
    .number()
    .min(0)
    .max(86_400)
    .default(15)
    .meta({
      group: "Admission and time",
      aliases: ["--sse-keepalive-secs"],
      description:
        "After this silence, before or within a stream, the client gets a comment (`ping` on `/v1/messages`), seconds; 0 for never. It keeps proxies on the way from closing the connection. Before the first token it goes out with the head and status 200: a later error is then an event in the stream, and other workers may still be asked. It makes no difference what the request waits for: a queue, a worker, or the first token.",
    }),
  clientStallTimeoutSecs: upToADay.default(120).meta({
    group: "Admission and time",
    description: "How long a client may read nothing of a stream while data waits for it, seconds.",
  }),
  continueStreams: z.preprocess(wholeOrList, z.array(glob)).default([]).meta({
    group: "Routing",
    description:
      "Models (globs) whose streams another worker continues when their worker is lost. The other worker gets the chat or completion with the text so far as a prefix, at most twice for a request. `true`, or the flag alone, for all models. Streams that cannot be continued correctly (tool calls, log-probabilities, several answers, structured output) end with an error.",
  }),
  maxConnectionsPerClient: z.int().min(0).max(1_000_000).default(0).meta({
    group: "Admission and time",
    description:
      "Connections of one address at once, on each of the `threads`; a further one gets 429 and is closed. 0 for no bound: behind a proxy or a NAT all clients have one address.",
  }),
  clientIdleTimeoutSecs: z
    .int()
    .min(0)
    .max(86_400)
    .default(120)
    .meta({
      group: "Admission and time",
      aliases: ["--idle-connection-timeout-secs"],
      description:
        "A client's connection is closed after this time without a request, or when the client reads nothing of a complete answer for this time, seconds; 0 for never. The default is longer than clients' own pools keep a connection. A connection with a request in flight is not idle.",
    }),
  shutdownDelaySecs: z.number().min(0).max(3600).default(5).meta({
    group: "Admission and time",
    description:
      "After SIGTERM the gateway still accepts new connections for this time while its readiness answers 503, so that load balancers learn of it, seconds. Not after SIGINT.",
  }),
  shutdownGracePeriodSecs: upToADay.default(180).meta({
    group: "Admission and time",
    description:
      "After `shutdown_delay_secs`, the time that requests have to finish, seconds. Streams that are left then end with an error event.",
  }),
  retryMaxRetries: count.default(1).meta({
    group: "Retries and circuit breaker",
    aliases: ["--max-instance-failover-reroute-attempts"],
    description:
      "Second attempts of a request, on another worker and before the client has seen a byte: 0 or 1. A larger number counts as 1, because a generation is started at most twice.",
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
    description: "Longest wait before a second attempt at the same worker, ms.",
  }),
  retryBackoffMultiplier: z.number().min(1).max(100).default(1.5).meta({
    group: "Retries and circuit breaker",
    description:
      "Growth of the wait from one attempt to the next. The gateway accepts it because scripts set it. With at most one second attempt it changes nothing; a line at start-up says so.",
  }),
  retryJitterFactor: z.number().min(0).max(1).default(0.2).meta({
    group: "Retries and circuit breaker",
    description: "Random share of the wait before a second attempt, 0 to 1.",
  }),
  cbFailureThreshold: count.min(1).default(10).meta({
    group: "Retries and circuit breaker",
    description:
      "Faults of a worker within the window that open its breaker, if they are at least half of its answers there.",
  }),
  cbSuccessThreshold: count.min(1).default(3).meta({
    group: "Retries and circuit breaker",
    description: "Probes in a row that must succeed to close the breaker.",
  }),
  cbTimeoutDurationSecs: upToADay.default(60).meta({
    group: "Retries and circuit breaker",
    description:
      "How long the breaker stays open before the first probe, seconds. The time doubles with each probe that fails, up to 16 times.",
  }),
  cbWindowDurationSecs: upToADay.default(120).meta({
    group: "Retries and circuit breaker",
    description: "Length of the window in which faults and failures are counted, seconds.",
  }),
  outlierFailureThreshold: count.default(5).meta({
    group: "Retries and circuit breaker",
    description:
      "A worker is ejected when this many different requests fail at it within the window (500, an error within a stream, no answer), if they are at least half of its answers, or a tenth where the others have answered enough to compare, and the model's other workers do clearly better. 0: never. 5 is Envoy's number.",
  }),
  outlierEjectionSecs: secs.default(30).meta({
    group: "Retries and circuit breaker",
    description:
      "How long an ejected worker is left out before requests may probe it, seconds. The time doubles each time it is ejected again soon, up to 16 times.",
  }),
  outlierMaxEjectionPercent: z.number().min(0).max(100).default(50).meta({
    group: "Retries and circuit breaker",
    description:
      "Largest share of a model's ready workers that may be ejected; half of an odd number is rounded up. With several workers one may always be ejected, and the last one never.",
  }),
  slowStartSecs: z.number().min(0).max(86_400).default(30).meta({
    group: "Retries and circuit breaker",
    description:
      "A worker that is back after faults or failures first gets a tenth of its share of requests, and its full share after this time, seconds. 0: at once.",
  }),
  disableCircuitBreaker: z.boolean().default(false).meta({
    group: "Retries and circuit breaker",
    description: "Only health checks take workers out.",
  }),
  healthCheckEndpoint: path.default("/health").meta({
    group: "Health checks",
    description: "Path of the health check.",
  }),
  healthCheckIntervalSecs: upToADay.default(10).meta({
    group: "Health checks",
    aliases: ["--static-backend-health-check-interval"],
    description:
      "Time between two checks of a worker, seconds. Other gateways wait 60; a dead worker would then get requests for three minutes.",
  }),
  healthCheckTimeoutSecs: upToADay.default(5).meta({
    group: "Health checks",
    aliases: ["--static-backend-health-check-timeout-seconds", "--backend-health-check-timeout-seconds"],
    description: "Time for the answer to a health check, seconds.",
  }),
  healthFailureThreshold: count.min(1).default(3).meta({
    group: "Health checks",
    description: "Failed checks in a row that take a worker out.",
  }),
  healthSuccessThreshold: count.min(1).default(2).meta({
    group: "Health checks",
    description: "Answered checks in a row that bring a worker back.",
  }),
  disableHealthCheck: z.boolean().default(false).meta({
    group: "Health checks",
    description: "No health checks: a worker counts as ready once the gateway has asked it which models it serves.",
  }),
  removeUnhealthyWorkers: z
    .boolean()
    .default(false)
    .meta({
      group: "Health checks",
      aliases: ["--worker-auto-recovery"],
      description: "A worker that fails its checks is removed from the registry for good.",
    }),
  workerStartupTimeoutSecs: upToADay.default(1800).meta({
    group: "Health checks",
    description:
      "A new worker that has not answered for this time is shown as failed, seconds; the checks go on. Large models load for many minutes.",
  }),
  workerStartupCheckInterval: upToADay.default(1).meta({
    group: "Health checks",
    description:
      "Time between two checks of a worker that is new or down, at first, seconds; later a tenth of the time for which it has been so, at most 10 s or the interval of well workers. Other gateways wait 30 from the start; a worker that is up would wait that long for its first request.",
  }),
  logLevel: z
    .preprocess(
      (value) => LEVEL_ALIASES.get(value) ?? value,
      z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]),
    )
    .default("info")
    .meta({
      group: "Observability",
      description: "Lowest level that is logged. Access lines are `info`. docs/logs.md has the fields of each line.",
    }),
  metricsCompat: z
    .array(z.enum(["smg", "vllm", "llm-d"]))
    .default([])
    .meta({
      group: "Observability",
      description:
        "Other programs whose names `/metrics` has beside the gateway's own, so that their dashboards and autoscalers work: `smg`, `vllm`, `llm-d`. docs/metrics.md lists the names.",
    }),
  engineLoadIntervalSecs: z
    .number()
    .min(0)
    .max(DAY_SECS)
    .refine((value) => value === 0 || value >= 1, "must be 0 (never) or at least 1")
    .optional()
    .meta({
      group: "Observability",
      aliases: ["--load-monitor-interval", "--engine-stats-interval"],
      description:
        "How often the workers' engines are asked for the requests and KV cache that they hold, seconds; 0: never. For metrics only: no policy needs it. 10 where `metrics_compat` names anything, otherwise never, because each worker answers a page or a call for it.",
    }),
  logFormat: z.enum(["auto", "json", "text"]).default("auto").meta({
    group: "Observability",
    description:
      "How log lines look: `json`, one object a line for programs; `text`, for a person; `auto` is `text` where standard output is a terminal, and `json` elsewhere. Text has colours on a terminal, unless `NO_COLOR` is set.",
  }),
  decisionLogSize: z.int().min(0).max(100_000).default(1000).meta({
    group: "Observability",
    description:
      "Choices of workers that each thread keeps in memory for `GET /debug/decisions`: which worker each request went to and why, what was expected and what came; 0 keeps none. One takes some 300 bytes. Nothing of prompts, answers or keys is in it.",
  }),
  decisionExplainRatio: z.number().min(0).max(1).default(0.01).meta({
    group: "Observability",
    description:
      "Share of the requests whose choice is kept with all candidates and the terms of their costs, 0 to 1. To compute them takes as long as to choose. With `log_level` `debug`, and for a request that asks for a receipt, they are always there.",
  }),
  tracesEndpoint: z
    .string()
    .refine(isCollector, "must be the address of a collector, such as http://collector:4318")
    .refine(isWithoutUser, `${CARRIES_USER}: give it as a header in OTEL_EXPORTER_OTLP_HEADERS`)
    .optional()
    .meta({
      group: "Observability",
      flag: "--otlp-traces-endpoint",
      aliases: ["--otel-endpoint"],
      description:
        "OpenTelemetry collector that gets the traces: `HOST:PORT`, or a URL. Over HTTP, `/v1/traces` is added if it has no path; port 4317, `grpc://` and `grpcs://` are OTLP over gRPC. Without it, `OTEL_EXPORTER_OTLP_ENDPOINT`, and without that no request is traced ([traces.md](traces.md)).",
    }),
  tracesSampleRatio: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .meta({
      group: "Observability",
      aliases: ["--otel-sampling-ratio"],
      description:
        "Share of the traces that begin at the gateway which are sampled, 0 to 1. Without it, `OTEL_TRACES_SAMPLER`, and without that all. A caller that sends `traceparent` has decided already.",
    }),
  record: z.string().min(1).optional().meta({
    group: "Observability",
    description:
      "Records the traffic to this file, so that `pointsman simulate --trace FILE` can replay it: for each answered request its time, the lengths of prompt and answer, numbers for the blocks of the prompt and for the session (equal blocks have equal numbers), and the model; never text. A file that exists is not overwritten. docs/routing.md has the format.",
  }),
  recordMaxMb: z.int().min(1).max(1_000_000).default(1024).meta({
    group: "Observability",
    description:
      "Largest size of the file of `record`, MB; further requests are not recorded. 1,024 MB hold about two million requests of 10,000 prompt tokens.",
  }),
  prometheusHost: host.optional().meta({
    group: "Observability",
    description:
      "Address of the metrics port. Without it, the address of `host`, because the main port has the same page. The page needs no key, and names models and the addresses of workers. Other gateways take `0.0.0.0`, whatever their `host`.",
  }),
  prometheusPort: port.default(29_000).meta({
    group: "Observability",
    description:
      "A second port for `/metrics`, where scrapers of other gateways look, and for the probes `/health`, `/liveness` and `/readiness`; 0 for none. The main port has them too. With an `admin_port` there is no such port: the metrics are there.",
  }),
});

type Checked = DeepReadonly<z.output<typeof configSchema>>;
/** A checked configuration. */
export type Config = Omit<Checked, "initialWorkers"> & { readonly initialWorkers: readonly InitialWorker[] };
export type ConfigKey = keyof Config;
/** A checked worker of the configuration or the API. */
export type WorkerConfig = DeepReadonly<z.output<typeof workerSchema>>;
/** A worker and the source that named it. `source` is not an option: `loadConfig` sets it. */
export type InitialWorker = WorkerConfig & { readonly source?: WorkerOrigin };

type DeepReadonly<T> = unknown extends T ? T : T extends Secret ? T : { readonly [K in keyof T]: DeepReadonly<T[K]> };

/** The metadata of an option. */
export function optionMeta(key: ConfigKey): OptionMeta {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- every option above has one; zod's registry does not know its type
  return z.globalRegistry.get(configSchema.shape[key]) as unknown as OptionMeta;
}
