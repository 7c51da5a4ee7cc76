import { anthropicDialect } from "./anthropic/dialect.ts";
import type { Dialect } from "./dialect.ts";
import { openaiDialect, responsesDialect } from "./openai/dialect.ts";
import { sglangDialect } from "./sglang/dialect.ts";

/** A route on which a worker works. */
export interface Endpoint {
  /** On the gateway and on the worker alike. */
  readonly path: string;
  /** For metrics and logs. */
  readonly name: string;
  readonly dialect: Dialect;
  readonly canStream: boolean;
  /** Members of the body that make the prompt, in the order in which templates render them. */
  readonly promptMembers: readonly string[];
  /** What it takes of an engine; `local`: nothing, the gateway's own tokenizer answers. */
  readonly work: EndpointWork;
}

/**
 * An answer decoded token by token, a prompt read once, tokens counted by whoever has the tokenizer, or nothing: then the gateway's
 * tokenizer or its parsers answer.
 */
export type EndpointWork = "generate" | "embed" | "tokenize" | "local" | "parse";

function endpoint(
  path: string,
  name: string,
  dialect: Dialect,
  canStream: boolean,
  promptMembers: readonly string[],
  work: EndpointWork,
): Endpoint {
  return { path, name, dialect, canStream, promptMembers, work };
}

/** Tools and instructions stand before the conversation in every template. */
const CHAT = ["tools", "system", "messages"];

/** Every inference route, in the order of the documentation. Adding one is adding a row. */
export const ENDPOINTS: readonly Endpoint[] = [
  endpoint("/v1/chat/completions", "chat_completions", openaiDialect, true, CHAT, "generate"),
  endpoint("/v1/completions", "completions", openaiDialect, true, ["prompt"], "generate"),
  endpoint("/v1/embeddings", "embeddings", openaiDialect, false, ["input"], "embed"),
  endpoint("/v1/rerank", "rerank", openaiDialect, false, ["query"], "embed"),
  endpoint("/rerank", "rerank", openaiDialect, false, ["query"], "embed"),
  endpoint("/v2/rerank", "rerank", openaiDialect, false, ["query"], "embed"),
  endpoint("/v1/classify", "classify", openaiDialect, false, ["input"], "embed"),
  endpoint("/classify", "classify", openaiDialect, false, ["text", "input"], "embed"),
  endpoint("/v1/score", "score", openaiDialect, false, ["text_1"], "embed"),
  endpoint("/score", "score", openaiDialect, false, ["text_1"], "embed"),
  endpoint("/pooling", "pooling", openaiDialect, false, ["messages", "input"], "embed"),
  endpoint("/v1/responses", "responses", responsesDialect, true, ["tools", "instructions", "input"], "generate"),
  endpoint("/v1/messages", "messages", anthropicDialect, true, CHAT, "generate"),
  endpoint("/v1/messages/count_tokens", "count_tokens", anthropicDialect, false, CHAT, "tokenize"),
  endpoint("/generate", "generate", sglangDialect, true, ["text", "input_ids"], "generate"),
  endpoint("/tokenize", "tokenize", openaiDialect, false, ["messages", "prompt"], "tokenize"),
  endpoint("/detokenize", "detokenize", openaiDialect, false, [], "tokenize"),
  endpoint("/v1/tokenize", "tokenize_texts", openaiDialect, false, [], "local"),
  endpoint("/v1/detokenize", "detokenize_ids", openaiDialect, false, [], "local"),
];

/** Routes on which a client tries the gateway's parsers on a text: they pass what inference passes, and ask no worker. */
export const PARSE_ENDPOINTS: readonly Endpoint[] = [
  endpoint("/parse/function_call", "parse_function_call", openaiDialect, false, [], "parse"),
  endpoint("/parse/reasoning", "parse_reasoning", openaiDialect, false, [], "parse"),
];
