/**
 * Every error that a client can see is a row here: what it looks like in each dialect, whose fault it is, and what
 * we may do next. Retry and circuit breaking read the row; `docs/errors.md` is generated from it.
 */

/** Who caused the error. An attempt that ended with an error of the worker is one that the worker did not serve. */
export type ErrorSource = "client" | "gateway" | "worker";

/**
 * What a retry may do, before the client has seen a byte:
 * - `reachable_elsewhere`: the worker never got the request; another one may have it at once.
 * - `declined`: the worker said no before any work (429, 503); another one may have it, this one rests.
 * - `ambiguous`: the worker may have worked on it; one more try elsewhere at most.
 * - `never`: the answer would be the same, or the client has seen a part of it.
 */
export type RetryClass = "reachable_elsewhere" | "declined" | "ambiguous" | "never";

/**
 * - `fault`: the worker failed as a worker: enough of them open its breaker.
 * - `doubtful`: what came is no answer, which may be the request's doing: a fault, unless the other workers fail alike.
 * - `failure`: it said that it failed on this request: it is ejected for it only where the other workers do better.
 * - `answer`: it answered, if only to refuse; so it works.
 * - `nothing`: it tells nothing of the worker.
 */
export type BreakerNews = "fault" | "doubtful" | "failure" | "answer" | "nothing";

export interface ErrorRow {
  /** HTTP status for the client. */
  readonly http: number;
  readonly source: ErrorSource;
  readonly retry: RetryClass;
  /** What it tells of the worker, for its circuit breaker and for ejection. */
  readonly breaker: BreakerNews;
  /** Whether the client's SDK should send the request again, where it would by itself (408, 409, 429, 5xx). */
  readonly clientRetry: boolean;
  /** `error.type` in the OpenAI shape. */
  readonly openai: string;
  /** `error.type` in the Anthropic shape. */
  readonly anthropic: string;
  /** One sentence for the errors page: when it happens and what helps. */
  readonly meaning: string;
}

function client(http: number, anthropic: string, meaning: string): ErrorRow {
  return {
    http,
    source: "client",
    retry: "never",
    breaker: "nothing",
    clientRetry: false,
    openai: "invalid_request_error",
    anthropic,
    meaning,
  };
}

function capacity(meaning: string): ErrorRow {
  return {
    http: 503,
    source: "gateway",
    retry: "never",
    breaker: "nothing",
    clientRetry: true,
    openai: "server_error",
    anthropic: "overloaded_error",
    meaning,
  };
}

function worker(http: number, retry: RetryClass, meaning: string): ErrorRow {
  return {
    http,
    source: "worker",
    retry,
    breaker: "fault",
    // Only what never reached a worker is certain not to run twice.
    clientRetry: retry === "reachable_elsewhere",
    openai: "server_error",
    anthropic: http === 504 ? "timeout_error" : "api_error",
    meaning,
  };
}

function doubtful(retry: RetryClass, meaning: string): ErrorRow {
  return { ...worker(502, retry, meaning), breaker: "doubtful" };
}

export const ERRORS = {
  // What the client sent.
  invalid_json: client(400, "invalid_request_error", "The body is not JSON, is empty, or is not valid UTF-8."),
  invalid_body: client(400, "invalid_request_error", "The body is JSON but not an object."),
  invalid_request: client(400, "invalid_request_error", "A field has the wrong type or value; `param` names it."),
  missing_model: client(400, "invalid_request_error", "`model` is needed where one gateway serves many models."),
  forbidden_key: client(400, "invalid_request_error", "A key such as `__proto__` that some JSON readers act on."),
  malformed_request: client(
    400,
    "invalid_request_error",
    "What came is not an HTTP/1.1 request, or two readers could take it for different ones.",
  ),
  bad_host: client(400, "invalid_request_error", "The Host header is not a host name."),
  invalid_api_key: {
    ...client(401, "authentication_error", "The API key is missing or wrong."),
    openai: "authentication_error",
  },
  forbidden: {
    ...client(403, "permission_error", "The API key is known and does not open this."),
    openai: "permission_error",
  },
  model_not_found: client(404, "not_found_error", "No worker serves this model."),
  unknown_url: client(404, "not_found_error", "There is no such route."),
  tokenizer_not_found: client(404, "not_found_error", "No tokenizer has this id or name."),
  worker_not_found: client(404, "not_found_error", "No worker has this id or URL."),
  method_not_allowed: client(405, "invalid_request_error", "The route exists, for the methods named in `Allow`."),
  websocket_unsupported: client(
    426,
    "invalid_request_error",
    "A WebSocket was asked for where there is none: the route is one to POST to.",
  ),
  request_timeout: client(408, "invalid_request_error", "The head or the body of the request did not arrive in time."),
  worker_exists: client(409, "invalid_request_error", "A worker with this URL is registered already."),
  request_too_large: client(413, "request_too_large", "The body is larger than `max_payload_size`."),
  unsupported_media_type: client(
    415,
    "invalid_request_error",
    "The content type is not `application/json`, or the body has an encoding that is not in the answer's `Accept-Encoding`.",
  ),
  bad_content_encoding: client(
    400,
    "invalid_request_error",
    "The body is not in the encoding that its `Content-Encoding` names, or is cut.",
  ),
  headers_too_large: client(
    431,
    "invalid_request_error",
    "The request line and headers are larger than 16 KiB, or the headers more than 200.",
  ),
  too_many_connections: {
    ...client(429, "rate_limit_error", "The client's address has `max_connections_per_client` connections already."),
    openai: "rate_limit_error",
    clientRetry: true,
  },
  rate_limit_exceeded: {
    ...client(429, "rate_limit_error", "The limit of this API key is reached. `Retry-After` says when it is not."),
    openai: "rate_limit_error",
    clientRetry: true,
  },
  client_closed: client(499, "api_error", "The client left before the end; seen in logs and metrics only."),
  // What the gateway cannot do now.
  no_available_workers: capacity("Workers serve this model, but none can take a request now. `Retry-After` says when."),
  upstream_connections_full: {
    ...capacity("All of the `max_connections_per_worker` were taken, and none became free in `connect_timeout_secs`."),
    retry: "declined",
  },
  tokenizer_unavailable: capacity(
    "Workers of the model speak tokens, and its tokenizer is not there: not loaded yet, or the message says why not.",
  ),
  queue_full: capacity("The concurrency limit is reached and the queue is full. `Retry-After` says when."),
  queue_timeout: capacity("The request waited in the queue for `queue_timeout_secs`."),
  overloaded: capacity(
    "The gateway is behind with its work by more than `max_event_loop_delay_ms`: requests would wait unseen.",
  ),
  memory_full: capacity(
    "The bodies of the requests under way are as large together as `max_request_bytes_in_flight`, or the process as `max_resident_bytes`.",
  ),
  server_shutting_down: capacity("The gateway is draining; another instance will answer."),
  unsupported_http_version: {
    ...capacity("The request is neither HTTP/1.1 nor HTTP/1.0."),
    http: 505,
    clientRetry: false,
    anthropic: "api_error",
  },
  not_implemented: {
    ...capacity("The gateway knows the feature and does not have it yet."),
    http: 501,
    clientRetry: false,
    anthropic: "api_error",
  },
  internal_error: {
    ...capacity("A defect in the gateway. The request id is in its log."),
    http: 500,
    clientRetry: false,
    anthropic: "api_error",
  },
  policy_failed: {
    ...capacity(
      "The operator's policy module threw, or chose no worker that there is. The gateway's log names the module and what it did.",
    ),
    http: 500,
    clientRetry: false,
    anthropic: "api_error",
  },

  // What the worker did.
  upstream_connect_failed: worker(
    502,
    "reachable_elsewhere",
    "The worker refused the connection or could not be reached.",
  ),
  upstream_connect_timeout: worker(
    504,
    "reachable_elsewhere",
    "The worker did not accept within `connect_timeout_secs`.",
  ),
  upstream_not_reached: {
    ...worker(502, "reachable_elsewhere", "The worker turned the request away unread: it is draining its connections."),
    breaker: "nothing",
  },
  upstream_closed: worker(502, "ambiguous", "The worker closed the connection before it answered."),
  upstream_stale_socket: {
    ...worker(502, "ambiguous", "The worker closed an idle connection just as a request went out on it."),
    breaker: "nothing",
  },
  upstream_timeout: worker(
    504,
    "ambiguous",
    "No first byte within `first_byte_timeout_secs`, no event of a stream within `idle_timeout_secs` behind its head, or no whole answer within `request_timeout_secs`.",
  ),
  upstream_stalled: worker(504, "never", "The worker fell silent within an answer for `idle_timeout_secs`."),
  upstream_truncated: worker(502, "ambiguous", "The answer ended before it was whole."),
  upstream_reset: worker(502, "never", "The connection to the worker broke within a stream."),
  upstream_protocol_error: worker(502, "ambiguous", "What the worker sent is not HTTP as it should be."),
  invalid_upstream_response: doubtful(
    "never",
    "The worker answered with something that is not an answer to this request.",
  ),
  upstream_stream_error: doubtful("never", "The engine told of an error within its stream."),
  upstream_event_invalid: doubtful("ambiguous", "An event of the worker's stream is not JSON."),
  upstream_event_too_large: doubtful("ambiguous", "An event of the worker's stream is larger than 4 MiB."),
  upstream_busy: {
    ...capacity("Every worker that was asked said that it is full (429, 503 or 529)."),
    source: "worker",
    breaker: "answer",
    retry: "declined",
  },
  upstream_unavailable: worker(
    502,
    "ambiguous",
    "The worker, or a proxy before it, answered 502 or 504 (also 520, 524, 598 and 599); or something before it refused the request with a page of its own (403).",
  ),
  upstream_auth_failed: {
    ...worker(502, "declined", "The worker refused the gateway's credential (401, or 403 in the engine's words)."),
    // Left out for it at once where another worker can serve, and not after so many faults.
    breaker: "nothing",
  },
  upstream_model_missing: {
    ...client(404, "not_found_error", "The workers that were asked do not serve the model."),
    retry: "declined",
    breaker: "answer",
  },
  upstream_unimplemented: {
    ...worker(
      501,
      "declined",
      "The workers that were asked do not have the route or the method that this request needs.",
    ),
    breaker: "answer",
  },
  upstream_error: { ...worker(500, "never", "The worker failed on this request (500)."), breaker: "failure" },
  upstream_rejected: {
    ...client(400, "invalid_request_error", "The worker refused the request; status and message are its own."),
    breaker: "answer",
  },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** The row of a code, typed as a row. */
export function errorRow(code: ErrorCode): ErrorRow {
  return ERRORS[code];
}

export interface GatewayErrorDetails {
  /** Path of the offending field, as in `messages[0].role`. */
  readonly param?: string;
  /** Whole seconds for `Retry-After`. */
  readonly retryAfterSecs?: number;
  /** Status for the client where it is the worker's own (upstream_rejected). */
  readonly status?: number;
  /** The worker asked to be left alone for this long, ms (upstream_busy with `Retry-After`). */
  readonly restMs?: number;
  /** What it tells of the worker, where that is not what the row says. */
  readonly news?: BreakerNews;
  /** `error.code` where the worker named one of its own (upstream_rejected). */
  readonly workerCode?: string;
  /** What a program can read of it, for APIs that have a place for that (Anthropic's `error.details`). */
  readonly facts?: Readonly<Record<string, unknown>>;
  /** Methods for `Allow`. */
  readonly allow?: readonly string[];
  /** What the client is told besides in the head of the answer: names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** The one error class. Foreign errors become one of these at the boundary that knows them. */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly code: ErrorCode;
  readonly details: GatewayErrorDetails;

  /** `message` goes to the client: no address, path or stack in it. */
  constructor(code: ErrorCode, message: string, details: GatewayErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.details = details;
  }

  get row(): ErrorRow {
    return ERRORS[this.code];
  }

  /** What it tells of the worker. */
  get news(): BreakerNews {
    return this.details.news ?? this.row.breaker;
  }

  /** HTTP status for the client. */
  get status(): number {
    return this.details.status ?? this.row.http;
  }
}

/** Whatever was thrown, as a GatewayError; what is not one yet is a defect of ours. */
export function asGatewayError(thrown: unknown): GatewayError {
  return thrown instanceof GatewayError
    ? thrown
    : new GatewayError("internal_error", "the gateway failed on this request", { cause: thrown });
}

/** The client has left; `cause` is what its signal says. */
export function clientClosed(cause?: unknown): GatewayError {
  return new GatewayError("client_closed", "the client left before the end", { cause });
}

/** All of `request_timeout_secs` is over, whatever the request waited for. */
export function tookTooLong(): GatewayError {
  return new GatewayError("upstream_timeout", "the request took longer than it may");
}

/** Why nobody waits any more, by the reason of a signal: one of our own errors, as where time is over, or else the client has left. */
export function whyLeft(reason: unknown): GatewayError {
  return reason instanceof GatewayError ? reason : clientClosed(reason);
}
