import { ChoicesReader, ResponsesReader } from "./stream-reader.ts";
import type { Dialect } from "../dialect.ts";
import type { ErrorFacts } from "../error-facts.ts";

/** Source: OpenAI API reference, error object; all four keys are always there. */
function errorBody(facts: ErrorFacts): object {
  return {
    error: { message: facts.message, type: facts.openaiType, param: facts.param ?? null, code: facts.code },
  };
}

/** Chat, completions, embeddings and their kin. */
export const openaiDialect: Dialect = {
  name: "openai",
  overloadedStatus: 503,
  errorBody,
  errorEvent: (facts) => `data: ${JSON.stringify(errorBody(facts))}\n\n`,
  // The API names none; what stands here are the standard's own default and what engines have called theirs.
  eventNames: /^(?:message|error|completion|chat\.completion\.chunk|text_completion)$/,
  createStreamReader: () => new ChoicesReader(),
  endEvent: "data: [DONE]\n\n",
  closingEvent: undefined,
  // Without a blank line behind it: to the standard it is the same, and SDKs of Go and Python take a blank line for the end
  // of an event, which they then read as JSON that is empty. They are many; readers that would miss an event because a
  // comment stands above its data are not known.
  keepAliveEvent: ": keep-alive\n",
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
  // Open Responses requires it; OpenAI's own API leaves it out, and its SDK accepts both.
  closingEvent: "data: [DONE]\n\n",
};
