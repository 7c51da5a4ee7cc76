import type { GatewayError } from "../errors/errors.ts";
import type { Dialect } from "../protocol/dialect.ts";
import { errorFacts } from "../protocol/error-facts.ts";

/** An error as the client's API says it. */
export function errorResponse(error: GatewayError, dialect: Dialect, requestId: string): Response {
  const headers: Record<string, string> = { "content-type": "application/json" };
  for (const name of dialect.requestIdHeaders) headers[name] = requestId;
  const { retryAfterSecs, allow } = error.details;
  if (retryAfterSecs !== undefined) headers["retry-after"] = String(retryAfterSecs);
  // SDKs try these again by themselves, unless they are told not to.
  if (SDK_RETRIES.has(error.status) || error.status >= 500) headers["x-should-retry"] = String(error.row.clientRetry);
  if (allow) headers["allow"] = allow.join(", ");
  if (error.code === "invalid_api_key") headers["www-authenticate"] = "Bearer";
  // What is left of a body that was not read cannot be told from the next request.
  if (error.code === "request_too_large" || error.code === "request_timeout") headers["connection"] = "close";
  const body = JSON.stringify(dialect.errorBody(errorFacts(error, requestId)));
  return new Response(body, { status: error.status, headers });
}

const SDK_RETRIES = new Set([408, 409, 429]);
