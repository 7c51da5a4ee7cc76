import { MESSAGES_BOUNDS } from "./anthropic/bounds.ts";
import { answerCountTokens } from "./anthropic/count-tokens.ts";
import { anthropicDialect } from "./anthropic/dialect.ts";
import { readMessages } from "./anthropic/messages-request.ts";
import { embed, type Endpoint, generate, parse, tokenize } from "./endpoint.ts";
import { GENERATION_BOUNDS, RESPONSES_BOUNDS, TOOL_BOUNDS } from "./openai/bounds.ts";
import { readChat } from "./openai/chat-request.ts";
import { readCompletion } from "./openai/completion-request.ts";
import { continueChat, continueCompletion } from "./openai/continuation.ts";
import { openaiDialect, responsesDialect } from "./openai/dialect.ts";
import { readEmbeddings } from "./openai/embeddings.ts";
import { answerInputTokens } from "./openai/input-tokens.ts";
import { oneToken } from "./openai/one-token.ts";
import { readResponses } from "./openai/responses-request.ts";
import { choiceCount, completionCount } from "./openai/sequences.ts";
import {
  answerDetokenize,
  answerDetokenizeIds,
  answerTokenize,
  answerTokenizeTexts,
} from "./openai/tokenizer-answers.ts";
import { GENERATE_BOUNDS } from "./sglang/bounds.ts";
import { sglangDialect } from "./sglang/dialect.ts";
import { readGenerate } from "./sglang/generate-request.ts";
import { sampleCount } from "./sglang/sequences.ts";

/** Tools and instructions stand before the conversation in every template. */
const CHAT = ["tools", "system", "messages"];

/** The same in `/v1/responses`. */
const RESPONSE = ["tools", "instructions", "input"];

/** A route that engines have over HTTP only, and that answers with numbers. */
function pooling<const Name extends string>(path: string, name: Name, ...promptMembers: string[]): Endpoint<Name> {
  return embed({ name, path, dialect: openaiDialect, promptMembers, read: undefined });
}

/** Routes that a worker or a tokenizer answers, in the order of the documentation. */
const INFERENCE = [
  generate({
    name: "chat_completions",
    operation: "chat",
    path: "/v1/chat/completions",
    dialect: openaiDialect,
    canStream: true,
    promptMembers: CHAT,
    bounds: GENERATION_BOUNDS,
    read: readChat,
    sequences: choiceCount,
    continuation: continueChat,
    oneToken: (body) => oneToken(body, "max_tokens"),
    takesRoom: true,
    canParseOutput: true,
  }),
  generate({
    name: "completions",
    operation: "text_completion",
    path: "/v1/completions",
    dialect: openaiDialect,
    canStream: true,
    promptMembers: ["prompt"],
    bounds: GENERATION_BOUNDS,
    read: readCompletion,
    sequences: completionCount,
    continuation: continueCompletion,
    oneToken: (body) => oneToken(body, "max_tokens"),
    takesRoom: true,
    canParseOutput: false,
  }),
  embed({
    name: "embeddings",
    path: "/v1/embeddings",
    dialect: openaiDialect,
    promptMembers: ["input"],
    read: readEmbeddings,
  }),
  pooling("/v1/rerank", "rerank", "query"),
  pooling("/rerank", "rerank", "query"),
  pooling("/v2/rerank", "rerank", "query"),
  pooling("/v1/classify", "classify", "input"),
  pooling("/classify", "classify", "text", "input"),
  pooling("/v1/score", "score", "text_1"),
  pooling("/score", "score", "text_1"),
  pooling("/pooling", "pooling", "messages", "input"),
  generate({
    name: "responses",
    operation: "chat",
    path: "/v1/responses",
    dialect: responsesDialect,
    canStream: true,
    promptMembers: RESPONSE,
    bounds: RESPONSES_BOUNDS,
    read: readResponses,
    sequences: choiceCount,
    continuation: undefined,
    oneToken: (body) => oneToken(body, "max_output_tokens"),
    takesRoom: false,
    canParseOutput: false,
  }),
  tokenize({
    name: "response_input_tokens",
    path: "/v1/responses/input_tokens",
    dialect: openaiDialect,
    promptMembers: RESPONSE,
    bounds: TOOL_BOUNDS,
    answeredBy: "worker",
    answer: answerInputTokens,
  }),
  generate({
    name: "messages",
    operation: "chat",
    path: "/v1/messages",
    dialect: anthropicDialect,
    canStream: true,
    promptMembers: CHAT,
    hasCacheMarks: true,
    bounds: MESSAGES_BOUNDS,
    read: readMessages,
    sequences: choiceCount,
    continuation: undefined,
    oneToken: (body) => oneToken(body, "max_tokens"),
    takesRoom: false,
    canParseOutput: false,
  }),
  tokenize({
    name: "count_tokens",
    path: "/v1/messages/count_tokens",
    dialect: anthropicDialect,
    promptMembers: CHAT,
    hasCacheMarks: true,
    bounds: TOOL_BOUNDS,
    answeredBy: "worker",
    answer: answerCountTokens,
  }),
  generate({
    name: "generate",
    operation: "text_completion",
    path: "/generate",
    dialect: sglangDialect,
    canStream: true,
    promptMembers: ["text", "input_ids"],
    bounds: GENERATE_BOUNDS,
    read: readGenerate,
    sequences: sampleCount,
    continuation: undefined,
    oneToken: undefined,
    takesRoom: true,
    canParseOutput: false,
  }),
  tokenize({
    name: "tokenize",
    path: "/tokenize",
    dialect: openaiDialect,
    promptMembers: ["messages", "prompt"],
    bounds: TOOL_BOUNDS,
    answeredBy: "worker",
    answer: answerTokenize,
  }),
  tokenize({
    name: "detokenize",
    path: "/detokenize",
    dialect: openaiDialect,
    promptMembers: [],
    bounds: TOOL_BOUNDS,
    answeredBy: "worker",
    answer: answerDetokenize,
  }),
  tokenize({
    name: "tokenize_texts",
    path: "/v1/tokenize",
    dialect: openaiDialect,
    promptMembers: [],
    bounds: TOOL_BOUNDS,
    answeredBy: "tokenizer",
    answer: answerTokenizeTexts,
  }),
  tokenize({
    name: "detokenize_ids",
    path: "/v1/detokenize",
    dialect: openaiDialect,
    promptMembers: [],
    bounds: TOOL_BOUNDS,
    answeredBy: "tokenizer",
    answer: answerDetokenizeIds,
  }),
];

/** Routes on which a client tries the gateway's parsers on a text. Keys, limits and the gate hold for them as for inference. */
const PARSING = [
  parse({ name: "parse_function_call", path: "/parse/function_call", dialect: openaiDialect, finds: "tool_calls" }),
  parse({ name: "parse_reasoning", path: "/parse/reasoning", dialect: openaiDialect, finds: "reasoning" }),
];

/** The only words that a row may be called by. */
export type EndpointName = (typeof INFERENCE)[number]["name"] | (typeof PARSING)[number]["name"];

/** Every inference route. Adding one is adding a row above, of pieces that stand in the API's folder. */
export const ENDPOINTS: readonly Endpoint<EndpointName>[] = INFERENCE;
/** Routes that the gateway's parsers answer. */
export const PARSE_ENDPOINTS: readonly Endpoint<EndpointName>[] = PARSING;
