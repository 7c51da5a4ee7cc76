import { MessagesReader } from "./stream-reader.ts";
import type { Dialect } from "../dialect.ts";
import type { ErrorFacts } from "../error-facts.ts";
import { anthropicLimitLines } from "../limit-headers.ts";
import { readUsage } from "../usage.ts";

/** Source: Anthropic API reference, errors. Anthropic's SDKs read `request-id`, and drop events without an `event:` line. */
function errorBody(facts: ErrorFacts): object {
  return {
    type: "error",
    error: {
      type: facts.anthropicType,
      message: facts.message,
      code: facts.code,
      param: facts.param ?? null,
      ...(facts.details ? { details: facts.details } : {}),
    },
    request_id: facts.requestId,
  };
}

export const anthropicDialect: Dialect = {
  name: "anthropic",
  overloadedStatus: 529,
  errorBody,
  errorEvent: (facts) => `event: error\ndata: ${JSON.stringify(errorBody(facts))}\n\n`,
  eventNames: /^(?:error|message|message_.*|content_block_.*)$/,
  createStreamReader: () => new MessagesReader(),
  usageOf: readUsage,
  endEvent: 'event: message_stop\ndata: {"type":"message_stop"}\n\n',
  endsWithDone: false,
  closingEvent: undefined,
  keepAliveEvent: 'event: ping\ndata: {"type":"ping"}\n\n',
  limitLines: anthropicLimitLines,
  requestIdHeaders: ["x-request-id", "request-id"],
};
