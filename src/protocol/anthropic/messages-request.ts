import { GatewayError } from "../../errors/errors.ts";
import { JsonFields } from "../json/json-fields.ts";
import type { ApiRequest, ChatPrompt, Constraint, GenerationRequest, ToolSpec } from "../generation.ts";
import type { JsonBody } from "../json/json-body.ts";
import { requiredSchema } from "../openai/constraint-fields.ts";
import {
  readEnding,
  readPlacement,
  readSampling,
  readStop,
  readTokenCount,
  refuseMembers,
} from "../openai/sampling-fields.ts";
import { OWN_FORM, type ChatForm } from "../chat-form.ts";
import { templateKwargs } from "../template-kwargs.ts";
import { type AskedChoice, readTool, refuseDoubles, toldTools, type ToolUse, toolUse } from "../tool-use.ts";
import { readMessageList } from "./message-content.ts";
import { MessagesWriter } from "./messages-writer.ts";

const REFUSED = ["container", "mcp_servers"];

/** Reads `/v1/messages`. Throws invalid_request, and not_implemented for tools that run on Anthropic's servers. */
export function readMessages(body: JsonBody, form: ChatForm = OWN_FORM): ApiRequest {
  const fields = JsonFields.of(body);
  refuseMembers(fields, REFUSED);
  refuseThread(fields);
  const isStream = fields.boolean("stream") ?? false;
  const maxTokens = readTokenCount(fields, "max_tokens", 1);
  if (maxTokens === undefined) throw fields.error("max_tokens", "must be an integer from 1 on");
  const parallelToolCalls = readIsParallel(fields);
  const use = readTools(fields, parallelToolCalls);
  const asked = readFormat(fields);
  const generation: GenerationRequest = {
    prompts: [{ kind: "chat", chat: readPrompt(fields, use, form) }],
    n: 1,
    sampling: readSampling(fields),
    maxTokens,
    ...readEnding(fields),
    stop: readStop(fields, "stop_sequences"),
    logprobs: undefined,
    promptLogprobs: undefined,
    echo: false,
    constraint: use.constraint ?? asked,
    toolChoice: use.toolChoice,
    parallelToolCalls,
    separateReasoning: true,
    ...readPlacement(fields),
  };
  const options = { isStream, stopSequences: generation.stop };
  return { generation, isStream, createWriter: (head) => new MessagesWriter(head, options) };
}

/**
 * Refuses threads. A client that continues a thread sends only the new messages, and the gateway keeps no earlier ones. The SDKs
 * recognise this error by its details, and send the whole conversation instead.
 */
function refuseThread(fields: JsonFields): void {
  if (!fields.has("thread")) return;
  throw new GatewayError("invalid_request", "threads are not kept here: send the whole conversation without thread", {
    param: "thread",
    facts: { error_code: "thread_unsupported_request", unsupported: ["thread"] },
  });
}

/** Reads `/v1/messages/count_tokens`: the prompt of the same request. */
export function readCountTokens(body: JsonBody): ChatPrompt {
  const fields = JsonFields.of(body);
  refuseThread(fields);
  return readPrompt(fields, readTools(fields, readIsParallel(fields)), OWN_FORM);
}

export function countTokensAnswer(inputTokens: number): string {
  return JSON.stringify({ input_tokens: inputTokens });
}

/** Reads the prompt. If its last message is an assistant's, the model continues that text, where the form says so. */
function readPrompt(fields: JsonFields, use: ToolUse, form: ChatForm): ChatPrompt {
  const messages = readMessageList(fields, form);
  const isBegun = form.continuesAnswer && messages.at(-1)?.["role"] === "assistant";
  const level = fields.object("output_config")?.string("effort");
  return {
    messages,
    tools: toldTools(use, form),
    addGenerationPrompt: !isBegun,
    continueFinalMessage: isBegun,
    documents: undefined,
    kwargs: templateKwargs(fields, { ...form.effort(level), ...readThinking(fields, form) }),
  };
}

/** Reads `thinking`. Without it, and with `adaptive`, the model's template decides. Its token budget is ignored, because no engine takes it. */
function readThinking(fields: JsonFields, form: ChatForm): Readonly<Record<string, unknown>> {
  const asked = fields.object("thinking");
  if (!asked) return {};
  const type = asked.oneOf("type", ["enabled", "disabled", "adaptive"]);
  if (type === undefined) throw asked.error("type", "must be one of enabled, disabled, adaptive");
  asked.integer("budget_tokens", { least: 1 });
  return form.thinking(type);
}

function readTools(fields: JsonFields, isParallel: boolean): ToolUse {
  const tools = fields.objects("tools")?.map(readOwnTool) ?? [];
  refuseDoubles(tools, fields);
  return toolUse(tools, readToolChoice(fields), isParallel, fields);
}

function readOwnTool(fields: JsonFields): ToolSpec {
  const type = fields.string("type") ?? "custom";
  if (type !== "custom") {
    throw fields.notBuilt("type", `tools of type ${type} are not supported: only those that the client runs itself`);
  }
  if (!fields.has("input_schema")) throw fields.error("input_schema", "must be a JSON schema");
  return readTool(fields, "input_schema");
}

const CHOICES = { auto: "auto", any: "required", none: "none", tool: "function" } as const;

function readToolChoice(fields: JsonFields): AskedChoice {
  const choice = fields.object("tool_choice");
  if (!choice) return { kind: "auto" };
  const type = choice.oneOf("type", ["auto", "any", "none", "tool"]);
  if (type === undefined) throw choice.error("type", "must be one of auto, any, none, tool");
  return type === "tool" ? { kind: CHOICES[type], name: choice.requiredString("name") } : { kind: CHOICES[type] };
}

function readIsParallel(fields: JsonFields): boolean {
  return !(fields.object("tool_choice")?.boolean("disable_parallel_tool_use") ?? false);
}

/** Reads `output_config.format`, or the older `output_format`. */
function readFormat(fields: JsonFields): Constraint | undefined {
  const format = fields.object("output_config")?.object("format") ?? fields.object("output_format");
  if (!format) return undefined;
  if (format.oneOf("type", ["json_schema"]) === undefined) throw format.error("type", "must be json_schema");
  return requiredSchema(format, "schema");
}
