import { type ErrorCode, GatewayError, type GatewayErrorDetails } from "../../errors/errors.ts";
import { withoutOrigin } from "../../util/without-origin.ts";
import { decodeGrpcMessage } from "./metadata.ts";

/** Longest rest that is believed, ms. Clients give up beyond it. */
const MAX_REST_MS = 120_000;

interface StatusRow {
  /** What the status is called. */
  readonly name: string;
  /** The error where no message came before it. */
  readonly first: ErrorCode;
  /** The error where it ends a stream that had begun. */
  readonly within: ErrorCode;
  /** What the client reads. `undefined` where the worker's own words say what is wrong with the request. */
  readonly says: string | undefined;
  readonly details?: GatewayErrorDetails;
}

const FAILED = "the worker failed on this request";
const BUSY = "the workers are at capacity; try again later";
const NO_CREDENTIAL = "the worker refused the gateway's credential";

function rejected(name: string, status: number): StatusRow {
  return { name, first: "upstream_rejected", within: "upstream_rejected", says: undefined, details: { status } };
}

function failed(name: string): StatusRow {
  return { name, first: "upstream_error", within: "upstream_stream_error", says: FAILED };
}

function busy(name: string): StatusRow {
  return {
    name,
    first: "upstream_busy",
    within: "upstream_stream_error",
    says: BUSY,
    details: { retryAfterSecs: 1 },
  };
}

function refused(name: string): StatusRow {
  return { name, first: "upstream_auth_failed", within: "upstream_auth_failed", says: NO_CREDENTIAL };
}

const UNKNOWN = failed("UNKNOWN");

/** What a status of a worker means: the one place where it is decided. Retry class and breaker follow from the error's row. */
const STATUSES: Readonly<Record<number, StatusRow>> = {
  // Of the worker's own accord: a call that we cancel is over before any status of its comes.
  1: {
    name: "CANCELLED",
    first: "upstream_closed",
    within: "upstream_reset",
    says: "the worker gave the request up",
  },
  2: UNKNOWN,
  3: rejected("INVALID_ARGUMENT", 400),
  4: {
    name: "DEADLINE_EXCEEDED",
    first: "upstream_timeout",
    within: "upstream_timeout",
    says: "the request took longer than it may",
  },
  5: {
    name: "NOT_FOUND",
    first: "upstream_model_missing",
    within: "upstream_stream_error",
    says: undefined,
    details: { workerCode: "model_not_found" },
  },
  6: rejected("ALREADY_EXISTS", 409),
  7: refused("PERMISSION_DENIED"),
  8: busy("RESOURCE_EXHAUSTED"),
  // A grammar that the engine cannot follow, a tokenizer that it was not given.
  9: rejected("FAILED_PRECONDITION", 400),
  10: failed("ABORTED"),
  11: rejected("OUT_OF_RANGE", 400),
  12: {
    name: "UNIMPLEMENTED",
    first: "upstream_unimplemented",
    within: "upstream_unimplemented",
    says: "the worker does not know this method",
  },
  13: failed("INTERNAL"),
  14: busy("UNAVAILABLE"),
  15: failed("DATA_LOSS"),
  16: refused("UNAUTHENTICATED"),
};

/** What a proxy's HTTP status stands for where no gRPC status came (the table of the gRPC specification). */
const HTTP_TO_GRPC: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
  // Not in that table: no room (529), and what proxies say of a worker that they cannot reach (Cloudflare).
  520: 14,
  521: 14,
  522: 14,
  523: 14,
  524: 14,
  525: 14,
  526: 14,
  527: 14,
  529: 14,
  530: 14,
  598: 14,
  599: 14,
};

/** Every server has its own words for a request that is larger than it takes, and the code of a full queue. */
const TOO_LARGE = /larger than max|too large/i;
const EXCEEDS = /exceeds? /i;
const BOUND = /size|limit/i;

function isTooLarge(words: string): boolean {
  if (TOO_LARGE.test(words)) return true;
  // In two steps: one pattern for both would look through the rest anew from each "exceeds".
  const at = words.search(EXCEEDS);
  return at >= 0 && BOUND.test(words.slice(at));
}

export interface WorkerStatus {
  /** `grpc-status` as it came. */
  readonly status: string;
  /** `grpc-message` as it came. */
  readonly message: string | undefined;
  /** `grpc-retry-pushback-ms` as it came: how long a worker without room wants to be left alone. */
  readonly pushbackMs?: string | undefined;
  /** The worker's origin, which must not appear in what clients see. */
  readonly origin: string;
  /** Whether messages came before it. */
  readonly isWithin: boolean;
}

/** A status other than OK, as an error of the table. */
export function statusError({ status, message, pushbackMs, origin, isWithin }: WorkerStatus): GatewayError {
  const code = /^[0-9]{1,2}$/.test(status) ? Number(status) : 2;
  const row = STATUSES[code] ?? UNKNOWN;
  const words = message === undefined ? "" : decodeGrpcMessage(message);
  const cause = `${row.name}: ${words}`;
  if (code === 8 && !isWithin && isTooLarge(words)) {
    return new GatewayError("upstream_rejected", "the request is larger than the worker takes", { status: 413, cause });
  }
  const says = row.says ?? (words === "" ? "the worker refused the request" : withoutOrigin(words, origin));
  const error = isWithin ? row.within : row.first;
  const rest = error === "upstream_busy" ? restOf(pushbackMs) : {};
  return new GatewayError(error, says, { ...row.details, ...rest, cause });
}

/** A worker that wants no second attempt says so by a negative number; it is asked by others all the same. */
function restOf(pushbackMs: string | undefined): GatewayErrorDetails {
  if (pushbackMs === undefined || !/^[0-9]{1,9}$/.test(pushbackMs)) return {};
  const restMs = Math.min(Number(pushbackMs), MAX_REST_MS);
  return restMs === 0 ? {} : { restMs, retryAfterSecs: Math.max(1, Math.ceil(restMs / 1000)) };
}

/** An answer that is not gRPC at all: a proxy's page, or an HTTP server on this port. */
export function httpStatusError(httpStatus: number, origin: string): GatewayError {
  if (httpStatus === 200) {
    return new GatewayError("upstream_protocol_error", "the worker's answer is not gRPC");
  }
  if (httpStatus === 403) {
    // A firewall looks at what a request says, so that it may be the request's doing.
    const details = { news: "doubtful", cause: "HTTP 403" } as const;
    return new GatewayError("upstream_unavailable", "something before the worker refused the request", details);
  }
  const status = String(HTTP_TO_GRPC[httpStatus] ?? 2);
  return statusError({ status, message: `HTTP ${httpStatus}`, origin, isWithin: false });
}

const REFUSED_STREAM = 7;
const ENHANCE_YOUR_CALM = 11;
/** PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, COMPRESSION_ERROR. */
const PROTOCOL_CODES = new Set([1, 3, 6, 9]);

/** The worker said that it has not looked at the request. */
export function isNeverReached(resetCode: number): boolean {
  return resetCode === REFUSED_STREAM;
}

/** A stream that the worker reset (RST_STREAM). `isWithin`: a part of the answer had come. */
export function resetError(resetCode: number, isWithin: boolean): GatewayError {
  const cause = `RST_STREAM ${resetCode}`;
  if (isWithin) return new GatewayError("upstream_reset", "the connection to the worker broke", { cause });
  if (resetCode === ENHANCE_YOUR_CALM) return new GatewayError("upstream_busy", BUSY, { retryAfterSecs: 1, cause });
  if (PROTOCOL_CODES.has(resetCode)) {
    return new GatewayError("upstream_protocol_error", "the worker's answer is not valid HTTP/2", { cause });
  }
  return new GatewayError("upstream_closed", "the worker gave the request up before it answered", { cause });
}
