import { anthropicDialect } from "./anthropic/dialect.ts";
import type { Dialect } from "./dialect.ts";
import { openaiDialect, responsesDialect } from "./openai/dialect.ts";
import {
  chatPrompt,
  completionPrompt,
  generatePrompt,
  inputPrompt,
  type PromptReader,
  queryPrompt,
  responsesPrompt,
} from "./prompt.ts";
import { sglangDialect } from "./sglang/dialect.ts";

/** A route on which a worker works. */
export interface Endpoint {
  /** On the gateway and on the worker alike. */
  readonly path: string;
  /** For metrics and logs. */
  readonly name: string;
  readonly dialect: Dialect;
  readonly canStream: boolean;
  readonly prompt: PromptReader;
}

function endpoint(path: string, name: string, dialect: Dialect, canStream: boolean, prompt: PromptReader): Endpoint {
  return { path, name, dialect, canStream, prompt };
}

/** Every inference route, in the order of the documentation. Adding one is adding a row. */
export const ENDPOINTS: readonly Endpoint[] = [
  endpoint("/v1/chat/completions", "chat_completions", openaiDialect, true, chatPrompt),
  endpoint("/v1/completions", "completions", openaiDialect, true, completionPrompt),
  endpoint("/v1/embeddings", "embeddings", openaiDialect, false, inputPrompt),
  endpoint("/v1/rerank", "rerank", openaiDialect, false, queryPrompt),
  endpoint("/rerank", "rerank", openaiDialect, false, queryPrompt),
  endpoint("/v1/classify", "classify", openaiDialect, false, inputPrompt),
  endpoint("/v1/score", "score", openaiDialect, false, queryPrompt),
  endpoint("/v1/responses", "responses", responsesDialect, true, responsesPrompt),
  endpoint("/v1/messages", "messages", anthropicDialect, true, chatPrompt),
  endpoint("/v1/messages/count_tokens", "count_tokens", anthropicDialect, false, chatPrompt),
  endpoint("/generate", "generate", sglangDialect, true, generatePrompt),
  endpoint("/tokenize", "tokenize", openaiDialect, false, completionPrompt),
  endpoint("/detokenize", "detokenize", openaiDialect, false, () => new Uint8Array(0)),
];
