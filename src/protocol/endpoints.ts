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
  /** What an engine does for it: decodes an answer token by token, reads the prompt and is done, or only counts tokens. */
  readonly work: EndpointWork;
}

export type EndpointWork = "generate" | "embed" | "tokenize";

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
  endpoint("/v1/classify", "classify", openaiDialect, false, ["input"], "embed"),
  endpoint("/v1/score", "score", openaiDialect, false, ["text_1"], "embed"),
  endpoint("/v1/responses", "responses", responsesDialect, true, ["tools", "instructions", "input"], "generate"),
  endpoint("/v1/messages", "messages", anthropicDialect, true, CHAT, "generate"),
  endpoint("/v1/messages/count_tokens", "count_tokens", anthropicDialect, false, CHAT, "tokenize"),
  endpoint("/generate", "generate", sglangDialect, true, ["text", "input_ids"], "generate"),
  endpoint("/tokenize", "tokenize", openaiDialect, false, ["messages", "prompt"], "tokenize"),
  endpoint("/detokenize", "detokenize", openaiDialect, false, [], "tokenize"),
];
