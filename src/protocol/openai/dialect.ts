import { ChoicesReader, ResponsesReader } from "./stream-reader.ts";
import type { Dialect } from "../dialect.ts";
import type { ErrorFacts } from "../error-facts.ts";
import { openaiLimitLines } from "../limit-headers.ts";
import { readUsage } from "../usage.ts";

/** The error object of the OpenAI API reference. It always has all four keys. */
function errorBody(facts: ErrorFacts): object {
  return {
    error: { message: facts.message, type: facts.openaiType, param: facts.param ?? null, code: facts.code },
  };
}

/** The dialect of chat, completions, embeddings and the like. */
export const openaiDialect: Dialect = {
  name: "openai",
  overloadedStatus: 503,
  errorBody,
  errorEvent: (facts) => `data: ${JSON.stringify(errorBody(facts))}\n\n`,
  // The API does not name its events. `message` is the default of the standard; the others are names that engines use.
  eventNames: /^(?:message|error|completion|chat\.completion\.chunk|text_completion)$/,
  createStreamReader: () => new ChoicesReader(),
  usageOf: readUsage,
  endEvent: "data: [DONE]\n\n",
  endsWithDone: true,
  closingEvent: undefined,
  // A comment line without a blank line behind it. The standard allows both. SDKs of Go and Python take the blank line for the
  // end of an event and fail on its empty JSON. No reader is known that fails on a comment above an event's data.
  keepAliveEvent: ": keep-alive\n",
  limitLines: openaiLimitLines,
  requestIdHeaders: ["x-request-id"],
};

/** The Responses API: typed events, with three possible last ones. */
export const responsesDialect: Dialect = {
  ...openaiDialect,
  name: "responses",
  errorEvent: (facts) =>
    `event: error\ndata: ${JSON.stringify({ type: "error", code: facts.code, message: facts.message, param: facts.param ?? null })}\n\n`,
  eventNames: /^(?:message|error|response\..*)$/,
  createStreamReader: () => new ResponsesReader(),
  endEvent: undefined,
  endsWithDone: false,
  // Open Responses requires it; OpenAI's own API leaves it out, and its SDK accepts both.
  closingEvent: "data: [DONE]\n\n",
};
