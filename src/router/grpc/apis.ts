import { readMessages } from "../../protocol/anthropic/messages-request.ts";
import type { ApiRequest } from "../../protocol/generation.ts";
import type { JsonBody } from "../../protocol/json/json-body.ts";
import { readChat } from "../../protocol/openai/chat-request.ts";
import { readCompletion } from "../../protocol/openai/completion-request.ts";
import { readResponses } from "../../protocol/openai/responses-request.ts";
import { readGenerate } from "../../protocol/sglang/generate-request.ts";

/** Readers of the routes that generate, by name of the endpoint. */
export const GENERATING_APIS: ReadonlyMap<string, (body: JsonBody) => ApiRequest> = new Map([
  ["chat_completions", readChat],
  ["completions", readCompletion],
  ["generate", readGenerate],
  ["messages", readMessages],
  ["responses", readResponses],
]);
