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
}

function endpoint(
  path: string,
  name: string,
  dialect: Dialect,
  canStream: boolean,
  promptMembers: readonly string[],
): Endpoint {
  return { path, name, dialect, canStream, promptMembers };
}

/** Tools and instructions stand before the conversation in every template. */
const CHAT = ["tools", "system", "messages"];

/** Every inference route, in the order of the documentation. Adding one is adding a row. */
export const ENDPOINTS: readonly Endpoint[] = [
  endpoint("/v1/chat/completions", "chat_completions", openaiDialect, true, CHAT),
  endpoint("/v1/completions", "completions", openaiDialect, true, ["prompt"]),
  endpoint("/v1/embeddings", "embeddings", openaiDialect, false, ["input"]),
  endpoint("/v1/rerank", "rerank", openaiDialect, false, ["query"]),
  endpoint("/rerank", "rerank", openaiDialect, false, ["query"]),
  endpoint("/v1/classify", "classify", openaiDialect, false, ["input"]),
  endpoint("/v1/score", "score", openaiDialect, false, ["text_1"]),
  endpoint("/v1/responses", "responses", responsesDialect, true, ["tools", "instructions", "input"]),
  endpoint("/v1/messages", "messages", anthropicDialect, true, CHAT),
  endpoint("/v1/messages/count_tokens", "count_tokens", anthropicDialect, false, CHAT),
  endpoint("/generate", "generate", sglangDialect, true, ["text", "input_ids"]),
  endpoint("/tokenize", "tokenize", openaiDialect, false, ["messages", "prompt"]),
  endpoint("/detokenize", "detokenize", openaiDialect, false, []),
];
