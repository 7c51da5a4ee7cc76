import { JsonFields } from "../json/json-fields.ts";
import type { ApiRequest, ChatPrompt, GenerationRequest } from "../generation.ts";
import type { JsonBody } from "../json/json-body.ts";
import { OWN_FORM, type ChatForm } from "../chat-form.ts";
import { templateKwargs } from "../template-kwargs.ts";
import { type ToolUse, toldTools } from "../tool-use.ts";
import { readChatMessages } from "./chat-messages.ts";
import { readChatTools } from "./chat-tools.ts";
import { ChatWriter } from "./chat-writer.ts";
import { readConstraint } from "./constraint-fields.ts";
import {
  readAnswerCount,
  readEnding,
  readPlacement,
  readRid,
  readSampling,
  readTokenCount,
  refuseMembers,
} from "./sampling-fields.ts";
import { readPromptLogprobs, readStreamOptions } from "./stream-options.ts";

const REFUSED = [
  "audio",
  "bad_words",
  "best_of",
  "chat_template",
  "custom_logit_processor",
  "logits_processors",
  "allowed_token_ids",
  "return_hidden_states",
  "return_token_ids",
  "return_tokens_as_token_ids",
  "session_params",
  "truncate_prompt_tokens",
  "use_beam_search",
  "web_search_options",
];

/** Reads a body of `/v1/chat/completions`. Throws invalid_request, and not_implemented for what engines that speak tokens do not take. */
export function readChat(body: JsonBody, form: ChatForm = OWN_FORM): ApiRequest {
  const fields = JsonFields.of(body);
  refuseMembers(fields, REFUSED);
  refuseOtherModalities(fields);
  const stream = readStreamOptions(fields);
  const parallelToolCalls = fields.boolean("parallel_tool_calls") ?? true;
  const use = readChatTools(fields, parallelToolCalls);
  const asked = readConstraint(fields);
  const chat = readChatPrompt(fields, use, form);
  const echo = fields.boolean("echo") ?? false;
  const generation: GenerationRequest = {
    prompts: [{ kind: "chat", chat }],
    n: readAnswerCount(fields),
    sampling: readSampling(fields),
    maxTokens: readTokenCount(fields, "max_completion_tokens", 1) ?? readTokenCount(fields, "max_tokens", 1),
    ...readEnding(fields),
    logprobs: readLogprobs(fields),
    promptLogprobs: readPromptLogprobs(fields, stream),
    // In this API `echo` repeats the beginning of the answer that the client wrote. The writer adds it, see `echoText`.
    echo: false,
    // An answer that must be a call is nothing else, so the constraint of the call goes first.
    constraint: use.constraint ?? asked,
    toolChoice: use.toolChoice,
    parallelToolCalls,
    separateReasoning: fields.boolean("separate_reasoning") ?? fields.boolean("include_reasoning") ?? true,
    ...readPlacement(fields),
  };
  const options = {
    ...stream,
    answersPerPrompt: generation.n,
    id: readRid(fields),
    echoText: echo ? begunAnswer(chat) : "",
  };
  return { generation, isStream: stream.isStream, createWriter: (head) => new ChatWriter(head, options) };
}

/** Reads the conversation, and what the chat template takes besides. */
export function readChatPrompt(fields: JsonFields, use: ToolUse, form: ChatForm): ChatPrompt {
  const continueFinalMessage = fields.boolean("continue_final_message") ?? false;
  const addGenerationPrompt = fields.boolean("add_generation_prompt") ?? !continueFinalMessage;
  if (continueFinalMessage && addGenerationPrompt) {
    throw fields.error("continue_final_message", "and add_generation_prompt cannot both be true");
  }
  const documents = fields.objects("documents")?.map(({ json }) => json);
  const kwargs = templateKwargs(fields, form.effort(readEffort(fields)));
  const tools = toldTools(use, form);
  return { messages: readChatMessages(fields), tools, addGenerationPrompt, continueFinalMessage, documents, kwargs };
}

function readEffort(fields: JsonFields): string | number | undefined {
  const level = fields.value("reasoning_effort");
  return typeof level === "number" ? level : fields.string("reasoning_effort");
}

function refuseOtherModalities(fields: JsonFields): void {
  if (fields.strings("modalities")?.some((modality) => modality !== "text") !== true) return;
  throw fields.notBuilt("modalities", "workers that are reached over gRPC answer in text only");
}

function readLogprobs(fields: JsonFields): GenerationRequest["logprobs"] {
  const isAsked = fields.boolean("logprobs") ?? false;
  const top = fields.integer("top_logprobs", { least: 0, most: 20 });
  if (!isAsked && top !== undefined && top > 0) throw fields.error("top_logprobs", "needs logprobs to be true");
  return isAsked ? { top: top ?? 0 } : undefined;
}

/** The beginning of the answer, where the last message has one that is to be continued. */
function begunAnswer({ messages, continueFinalMessage }: ChatPrompt): string {
  const last = messages.at(-1);
  if (!continueFinalMessage || last?.["role"] !== "assistant") return "";
  const { content } = last;
  if (typeof content === "string") return content;
  const parts: readonly { text: string }[] = Array.isArray(content) ? content : [];
  return parts.map(({ text }) => text).join("\n");
}
