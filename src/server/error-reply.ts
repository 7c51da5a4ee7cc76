import type { ErrorCode, GatewayError } from "../errors/errors.ts";
import type { Dialect } from "../protocol/dialect.ts";
import { errorFacts } from "../protocol/error-facts.ts";
import type { WholeReply } from "../transport/downstream.ts";
import { headerLine } from "../transport/upstream.ts";

/** The answer for an error, in the shape of the client's API. */
export function errorReply(error: GatewayError, dialect: Dialect, requestId: string): WholeReply {
  const headers: Record<string, string> = { "content-type": "application/json" };
  for (const name of dialect.requestIdHeaders) headers[name] = requestId;
  const { retryAfterSecs, allow } = error.details;
  if (retryAfterSecs !== undefined) headers["retry-after"] = String(retryAfterSecs);
  // SDKs retry these statuses, unless this header says no.
  if (SDK_RETRIES.has(error.status) || error.status >= 500) headers["x-should-retry"] = String(error.row.clientRetry);
  if (allow) headers["allow"] = allow.join(", ");
  Object.assign(headers, error.details.headers);
  if (error.code === "invalid_api_key") headers["www-authenticate"] = "Bearer";
  const body = JSON.stringify(dialect.errorBody(errorFacts(error, requestId)));
  return { status: statusIn(dialect, error), headers, body, endsConnection: ENDS_CONNECTION.has(error.code) };
}

/** The place of the request's id in an answer that is made before there is a request. */
const ID_MARK = "REQUEST-ID";

/**
 * The answers for one error, which differ in nothing but the request's id: all else is made once. What is not of the id is one text or the same
 * bytes each time, so thousands of these answers a second leave little to collect.
 */
export class OneErrorReply {
  readonly #status: number;
  readonly #idHeaders: readonly string[];
  readonly #lines: string;
  /** The parts of the body around the id; the whole of it where it does not have the id. */
  readonly #body: readonly string[];
  readonly #bytes: Uint8Array;

  constructor(error: GatewayError, dialect: Dialect) {
    const { status, headers, body } = errorReply(error, dialect, ID_MARK);
    this.#status = status;
    this.#idHeaders = dialect.requestIdHeaders;
    this.#lines = Object.entries(headers)
      .filter(([name]) => !dialect.requestIdHeaders.includes(name))
      .map(([name, value]) => headerLine(name, value))
      .join("");
    this.#bytes = Buffer.from(body);
    this.#body = this.#bytes.toString().split(ID_MARK);
  }

  to(requestId: string): WholeReply {
    const headers: Record<string, string> = {};
    for (const name of this.#idHeaders) headers[name] = requestId;
    const body = this.#body.length === 1 ? this.#bytes : this.#body.join(requestId);
    return { status: this.#status, headers, lines: this.#lines, body };
  }
}

/** The status in the client's API. Anthropic has its own status for overload. */
export function statusIn(dialect: Dialect, error: GatewayError): number {
  return error.status === 503 && error.row.anthropic === "overloaded_error" ? dialect.overloadedStatus : error.status;
}

/** After these errors the connection is closed: the sender of them gets no further requests read. */
const ENDS_CONNECTION: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["request_too_large", "request_timeout"]);
const SDK_RETRIES = new Set([408, 409, 429]);
