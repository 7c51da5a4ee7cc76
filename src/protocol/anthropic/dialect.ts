import type { Dialect, ErrorFacts } from "../dialect.ts";

/** Source: Anthropic API reference, errors. Its SDKs read `request-id`, and drop events without an `event:` line. */
function errorBody(facts: ErrorFacts): object {
  return {
    type: "error",
    error: { type: facts.anthropicType, message: facts.message, code: facts.code, param: facts.param ?? null },
    request_id: facts.requestId,
  };
}

export const anthropicDialect: Dialect = {
  name: "anthropic",
  errorBody,
  errorEvent: (facts) => `event: error\ndata: ${JSON.stringify(errorBody(facts))}\n\n`,
  endMarkers: ["event: message_stop", "event:message_stop"],
  missingEnd: undefined,
  usageMarker: '"usage":',
  requestIdHeaders: ["x-request-id", "request-id"],
};
