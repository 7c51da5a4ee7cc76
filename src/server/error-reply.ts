import type { ErrorCode, GatewayError } from "../errors/errors.ts";
import type { Dialect } from "../protocol/dialect.ts";
import { errorFacts } from "../protocol/error-facts.ts";
import type { WholeReply } from "../transport/downstream.ts";

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

/** The status in the client's API. Anthropic has its own status for overload. */
export function statusIn(dialect: Dialect, error: GatewayError): number {
  return error.status === 503 && error.row.anthropic === "overloaded_error" ? dialect.overloadedStatus : error.status;
}

/** After these errors the connection is closed: the sender of them gets no further requests read. */
const ENDS_CONNECTION: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["request_too_large", "request_timeout"]);
const SDK_RETRIES = new Set([408, 409, 429]);
