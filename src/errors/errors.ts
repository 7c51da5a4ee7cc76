/**
 * Each error that a client can see is a row here. The row says how each API shows the error, who caused it, and what the
 * gateway may do next. The retry and the circuit breaker read the row; `docs/errors.md` is generated from it.
 */

/** Who caused the error. An attempt that ended with an error of source `worker` was not served by its worker. */
export type ErrorSource = "client" | "gateway" | "worker";

/**
 * What a retry may do, before the client has seen a byte:
 * - `reachable_elsewhere`: the worker never got the request; another one may get it at once.
 * - `declined`: the worker refused before it did any work (429, 503); another one may get the request, and this one rests.
 * - `ambiguous`: the worker may have worked on the request; it gets at most one more try, on another worker.
 * - `never`: the answer would be the same, or the client has seen a part of it.
 */
export type RetryClass = "reachable_elsewhere" | "declined" | "ambiguous" | "never";

/**
 * What an error says about the worker:
 * - `fault`: the worker is broken or unreachable. Enough faults open its breaker.
 * - `doubtful`: the worker sent something that is not an answer. It counts as a fault, unless the other workers fail in the same way: then the request caused it.
 * - `failure`: the worker reported that it failed on this request. Failures eject it only where the other workers do better.
 * - `answer`: the worker answered, perhaps with a refusal. So it works.
 * - `nothing`: the error says nothing about the worker.
 */
export type BreakerNews = "fault" | "doubtful" | "failure" | "answer" | "nothing";

/** What is known about one error code. */
export interface ErrorRow {
  /** HTTP status for the client. */
  readonly http: number;
  readonly source: ErrorSource;
  readonly retry: RetryClass;
  /** What the error says about the worker, for its circuit breaker and for ejection. */
  readonly breaker: BreakerNews;
  /** Whether a fallback of the request's route is asked, because another model may answer where this one could not. */
  readonly nextModel: boolean;
  /** Whether the client's SDK should send the request again. By default SDKs do so for 408, 409, 429 and 5xx. */
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
    nextModel: false,
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
    nextModel: false,
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
    nextModel: true,
    // Only a request that never reached a worker cannot run twice.
    clientRetry: retry === "reachable_elsewhere",
    openai: "server_error",
    anthropic: http === 504 ? "timeout_error" : "api_error",
    meaning,
  };
}

function doubtful(retry: RetryClass, meaning: string): ErrorRow {
  return { ...worker(502, retry, meaning), breaker: "doubtful" };
}

/** A row of an error that is only this model's, so that a fallback of the route is asked. */
function ofThisModel(row: ErrorRow): ErrorRow {
  return { ...row, nextModel: true };
}

/** The rows by code. */
export const ERRORS = {
  // Mistakes in what the client sent.
  invalid_json: client(400, "invalid_request_error", "The body is not JSON, is empty, or is not valid UTF-8."),
  invalid_body: client(400, "invalid_request_error", "The body is JSON but not an object."),
  invalid_request: client(400, "invalid_request_error", "A field has the wrong type or value; `param` names it."),
  missing_model: client(
    400,
    "invalid_request_error",
    "`model` is required, because this gateway serves several models.",
  ),
  forbidden_key: client(
    400,
    "invalid_request_error",
    "The body has a key such as `__proto__`, which some JSON readers act on.",
  ),
  malformed_request: client(
    400,
    "invalid_request_error",
    "The bytes are not an HTTP/1.1 request, or two readers could read them as different requests.",
  ),
  bad_host: client(400, "invalid_request_error", "The Host header is not a host name."),
  invalid_api_key: {
    ...client(401, "authentication_error", "The API key is missing or wrong."),
    openai: "authentication_error",
  },
  forbidden: {
    ...client(403, "permission_error", "The API key is valid, but does not open this route."),
    openai: "permission_error",
  },
  model_not_allowed: {
    ...client(
      403,
      "permission_error",
      "The API key may not use this model. `GET /v1/models` lists those that it may use.",
    ),
    openai: "permission_error",
  },
  model_not_found: ofThisModel(client(404, "not_found_error", "No worker serves this model.")),
  unknown_url: client(404, "not_found_error", "There is no such route."),
  tokenizer_not_found: client(404, "not_found_error", "No tokenizer has this id or name."),
  worker_not_found: client(404, "not_found_error", "No worker has this id or URL."),
  method_not_allowed: client(405, "invalid_request_error", "The route exists only for the methods in `Allow`."),
  websocket_unsupported: client(
    426,
    "invalid_request_error",
    "The client asked for a WebSocket. The gateway has none; send a POST to the route.",
  ),
  request_loop: {
    ...capacity(
      "The request has been through this gateway before: the address of one of its workers leads back to it.",
    ),
    http: 508,
    clientRetry: false,
    anthropic: "api_error",
  },
  request_timeout: client(408, "invalid_request_error", "The head or the body of the request did not arrive in time."),
  config_needs_restart: client(
    409,
    "invalid_request_error",
    "A running gateway cannot change one of the options; the message names them, and nothing has changed.",
  ),
  config_version_mismatch: client(
    412,
    "invalid_request_error",
    "The configuration has another version than `If-Match` says: somebody has changed it since. Nothing has changed.",
  ),
  config_not_applied: {
    ...capacity("A part of the gateway could not carry out a checked configuration; the one before is in force again."),
    http: 500,
    clientRetry: false,
    anthropic: "api_error",
  },
  key_not_found: client(404, "not_found_error", "No key has this id or name."),
  key_exists: client(409, "invalid_request_error", "A valid key has this name already."),
  key_is_fixed: client(409, "invalid_request_error", "The key is in the configuration, and is changed there."),
  no_key_store: client(409, "invalid_request_error", "Keys are made where the gateway has a `key_store`."),
  key_store_failed: {
    ...capacity(
      "The file of `key_store` is locked, full, damaged, or another one than at the start; the message says which. Nothing has changed, and known keys stay in force.",
    ),
    anthropic: "api_error",
  },
  too_many_keys: client(409, "invalid_request_error", "The gateway holds as many keys as it can."),
  worker_exists: client(409, "invalid_request_error", "A worker with this URL is already registered."),
  request_too_large: client(413, "request_too_large", "The body is larger than `max_payload_size`."),
  unsupported_media_type: client(
    415,
    "invalid_request_error",
    "The content type is not `application/json`, or the body's encoding is not in the answer's `Accept-Encoding`.",
  ),
  bad_content_encoding: client(
    400,
    "invalid_request_error",
    "The body does not have the encoding that `Content-Encoding` names, or it is cut.",
  ),
  headers_too_large: client(
    431,
    "invalid_request_error",
    "The request line and headers are larger than 16 KiB together, or there are more than 200 headers.",
  ),
  too_many_connections: {
    ...client(429, "rate_limit_error", "The client's address already has `max_connections_per_client` connections."),
    openai: "rate_limit_error",
    clientRetry: true,
  },
  rate_limit_exceeded: {
    ...client(
      429,
      "rate_limit_error",
      "A limit of this API key is reached: requests a minute, tokens a minute, or requests at once. `Retry-After` says when to try again.",
    ),
    openai: "rate_limit_error",
    clientRetry: true,
  },
  request_over_limit: {
    ...client(
      429,
      "rate_limit_error",
      "The request alone may need more tokens than the API key has for a whole minute. A shorter prompt or a smaller `max_tokens` helps; waiting does not.",
    ),
    openai: "rate_limit_error",
  },
  too_many_wrong_keys: {
    ...client(
      429,
      "rate_limit_error",
      "The client's address has sent `auth_failures_per_minute` wrong keys. Right keys from the same address are served all the while.",
    ),
    openai: "rate_limit_error",
  },
  client_closed: client(499, "api_error", "The client left before the end. Only logs and metrics show this code."),
  // The gateway cannot do it now.
  no_available_workers: ofThisModel(
    capacity("Workers serve this model, but none can take a request now. `Retry-After` says when to try again."),
  ),
  token_keys_unavailable: capacity(
    "The issuer of tokens (`jwt_issuer`) has not answered yet, so no token can be verified. Once it has, its keys are kept.",
  ),
  upstream_connections_full: {
    ...capacity(
      "All `max_connections_per_worker` connections were in use, and none became free within `connect_timeout_secs`.",
    ),
    nextModel: true,
    retry: "declined",
  },
  tokenizer_unavailable: ofThisModel(
    capacity(
      "The model's workers take tokens, and the gateway does not have its tokenizer (yet). The message says why.",
    ),
  ),
  queue_full: ofThisModel(
    capacity("The concurrency limit is reached and the queue is full. `Retry-After` says when to try again."),
  ),
  queue_timeout: ofThisModel(capacity("The request waited in the queue for `queue_timeout_secs`.")),
  overloaded: capacity(
    "The gateway's event loop is late by more than `max_event_loop_delay_ms`. Requests would wait outside of any queue.",
  ),
  memory_full: capacity(
    "The bodies of the requests in flight have reached `max_request_bytes_in_flight`, or the process has reached `max_resident_bytes`.",
  ),
  server_shutting_down: capacity("The gateway is draining; another instance will answer."),
  unsupported_http_version: {
    ...capacity("The request is neither HTTP/1.1 nor HTTP/1.0."),
    http: 505,
    clientRetry: false,
    anthropic: "api_error",
  },
  not_implemented: {
    ...capacity("The gateway does not have this feature yet."),
    http: 501,
    clientRetry: false,
    anthropic: "api_error",
  },
  internal_error: {
    ...capacity("A defect in the gateway. The log has it with the request id."),
    http: 500,
    clientRetry: false,
    anthropic: "api_error",
  },
  policy_failed: {
    ...capacity(
      "The operator's policy module threw, or did not choose an existing worker. The gateway's log names the module and what it did.",
    ),
    http: 500,
    clientRetry: false,
    anthropic: "api_error",
  },

  // The worker failed.
  upstream_connect_failed: worker(
    502,
    "reachable_elsewhere",
    "The worker refused the connection or could not be reached.",
  ),
  upstream_connect_timeout: worker(
    504,
    "reachable_elsewhere",
    "The worker did not accept the connection within `connect_timeout_secs`.",
  ),
  upstream_not_reached: {
    ...worker(
      502,
      "reachable_elsewhere",
      "The worker refused the request unread, because it is draining its connections.",
    ),
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
    "No first byte within `first_byte_timeout_secs`, no event within `idle_timeout_secs` after the head of a stream, or no complete answer within `request_timeout_secs`.",
  ),
  upstream_stalled: worker(504, "never", "The worker was silent within an answer for `idle_timeout_secs`."),
  upstream_truncated: worker(502, "ambiguous", "The answer ended before it was complete."),
  upstream_reset: worker(502, "never", "The connection to the worker broke within a stream."),
  upstream_protocol_error: worker(502, "ambiguous", "The worker sent bytes that are not valid HTTP."),
  invalid_upstream_response: doubtful("never", "The worker's answer is not a valid answer to this request."),
  upstream_stream_error: doubtful("never", "The engine reported an error within its stream."),
  upstream_event_invalid: doubtful("ambiguous", "An event of the worker's stream is not JSON."),
  upstream_event_too_large: doubtful("ambiguous", "An event of the worker's stream is larger than 4 MiB."),
  upstream_busy: {
    ...capacity("Every worker that was asked answered that it is full (429, 503 or 529)."),
    source: "worker",
    nextModel: true,
    breaker: "answer",
    retry: "declined",
  },
  upstream_unavailable: worker(
    502,
    "ambiguous",
    "The worker, or a proxy in front of it, answered 502 or 504 (also 520, 524, 598 and 599), or a proxy refused the request with its own page (403).",
  ),
  upstream_auth_failed: {
    ...worker(502, "declined", "The worker refused the gateway's credential (401, or 403 in the engine's words)."),
    // The worker is left out at once, where another one can serve: it does not need several faults.
    breaker: "nothing",
  },
  upstream_model_missing: {
    ...client(404, "not_found_error", "The workers that were asked do not serve the model."),
    nextModel: true,
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

/** A code of the errors table. */
export type ErrorCode = keyof typeof ERRORS;

/** The row of a code, typed as a row. */
export function errorRow(code: ErrorCode): ErrorRow {
  return ERRORS[code];
}

/** What one occurrence of an error adds to its row. */
export interface GatewayErrorDetails {
  /** Path of the wrong field: `messages[0].role`. */
  readonly param?: string;
  /** Whole seconds for `Retry-After`. */
  readonly retryAfterSecs?: number;
  /** Status for the client, where it is the worker's own status (upstream_rejected). */
  readonly status?: number;
  /** How long the worker asked to get no requests, ms (upstream_busy with `Retry-After`). */
  readonly restMs?: number;
  /** What the error says about the worker, where it differs from the row. */
  readonly news?: BreakerNews;
  /** The worker's own `error.code` (upstream_rejected). */
  readonly workerCode?: string;
  /** Facts for programs, in APIs that have a place for them (Anthropic's `error.details`). */
  readonly facts?: Readonly<Record<string, unknown>>;
  /** The value of the `Allow` header. */
  readonly allow?: readonly string[];
  /** Name of the caller's key, for the audit log (forbidden). */
  readonly caller?: string;
  /** Further headers of the answer; names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** The only error class. Code that calls a library or a socket turns the errors of those into GatewayErrors. */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly code: ErrorCode;
  readonly details: GatewayErrorDetails;

  /** `message` goes to the client, so it must not have an address, a path or a stack. */
  constructor(code: ErrorCode, message: string, details: GatewayErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.details = details;
  }

  get row(): ErrorRow {
    return ERRORS[this.code];
  }

  /** What the error says about the worker. */
  get news(): BreakerNews {
    return this.details.news ?? this.row.breaker;
  }

  /** HTTP status for the client. */
  get status(): number {
    return this.details.status ?? this.row.http;
  }
}

/** Turns any thrown value into a GatewayError. A value that is not one already is a defect of the gateway: `internal_error`. */
export function asGatewayError(thrown: unknown): GatewayError {
  return thrown instanceof GatewayError
    ? thrown
    : new GatewayError("internal_error", "the gateway failed on this request", { cause: thrown });
}

/** The client has left; `cause` is the reason of its abort signal. */
export function clientClosed(cause?: unknown): GatewayError {
  return new GatewayError("client_closed", "the client left before the end", { cause });
}

/** The request has used up `request_timeout_secs`, in any of its steps. */
export function tookTooLong(): GatewayError {
  return new GatewayError("upstream_timeout", "the request took longer than it may");
}

/** Why a request was aborted, by the reason of its signal: a GatewayError (the time is over, the gateway ends), or the client has left. */
export function whyLeft(reason: unknown): GatewayError {
  return reason instanceof GatewayError ? reason : clientClosed(reason);
}
