import { JsonFields } from "../json/json-fields.ts";
import type { ApiRequest, ChatPrompt, Constraint, GenerationRequest, ToolSpec } from "../generation.ts";
import type { JsonObject } from "../json/json.ts";
import type { JsonBody } from "../json/json-body.ts";
import { OWN_FORM, type ChatForm } from "../chat-form.ts";
import { templateKwargs } from "../template-kwargs.ts";
import { readTool, refuseDoubles, toldTools, type ToolUse, toolUse } from "../tool-use.ts";
import { type ChoiceShape, readToolChoice } from "./chat-tools.ts";
import { requiredSchema } from "./constraint-fields.ts";
import { readInput } from "./responses-input.ts";
import { ResponsesWriter } from "./responses-writer.ts";
import { readEnding, readPlacement, readSampling, readTokenCount } from "./sampling-fields.ts";

const NOT_STORED = "responses are not stored, so there is none to go on from: send the whole conversation as input";

/** Reads `/v1/responses`. Throws invalid_request, and not_implemented for features that need a store or run tools in the service. */
export function readResponses(body: JsonBody, form: ChatForm = OWN_FORM): ApiRequest {
  const fields = JsonFields.of(body);
  refuseState(fields);
  const isStream = fields.boolean("stream") ?? false;
  const parallelToolCalls = fields.boolean("parallel_tool_calls") ?? true;
  const use = readTools(fields, parallelToolCalls);
  const asked = readFormat(fields);
  const generation: GenerationRequest = {
    prompts: [{ kind: "chat", chat: readPrompt(fields, use, form) }],
    n: 1,
    sampling: readSampling(fields),
    maxTokens: readTokenCount(fields, "max_output_tokens", 1),
    ...readEnding(fields),
    logprobs: readLogprobs(fields),
    promptLogprobs: undefined,
    echo: false,
    constraint: use.constraint ?? asked,
    toolChoice: use.toolChoice,
    parallelToolCalls,
    separateReasoning: true,
    ...readPlacement(fields),
  };
  const options = { isStream, asked: askedMembers(fields, parallelToolCalls) };
  return { generation, isStream, createWriter: (head) => new ResponsesWriter(head, options) };
}

/** Reads `/v1/responses/input_tokens`: the prompt of the same request. Throws as readResponses. */
export function readInputTokens(body: JsonBody): ChatPrompt {
  const fields = JsonFields.of(body);
  refuseState(fields);
  return readPrompt(fields, readTools(fields, fields.boolean("parallel_tool_calls") ?? true), OWN_FORM);
}

function readPrompt(fields: JsonFields, use: ToolUse, form: ChatForm): ChatPrompt {
  return {
    messages: readInput(fields),
    tools: toldTools(use, form),
    addGenerationPrompt: true,
    continueFinalMessage: false,
    documents: undefined,
    kwargs: templateKwargs(fields, form.effort(fields.object("reasoning")?.string("effort"))),
  };
}

/** Refuses members that need stored answers. `store` itself is accepted, and the answer says that it was not stored. */
function refuseState(fields: JsonFields): void {
  fields.boolean("store");
  for (const name of ["previous_response_id", "conversation"]) {
    if (fields.has(name)) throw fields.notBuilt(name, NOT_STORED);
  }
  if (fields.boolean("background") === true) {
    throw fields.notBuilt("background", "background responses are not supported: responses are not stored");
  }
  if (fields.has("prompt"))
    throw fields.notBuilt("prompt", "stored prompts are not supported: send instructions and input");
}

function readTools(fields: JsonFields, isParallel: boolean): ToolUse {
  const tools = fields.objects("tools")?.map(readFunction) ?? [];
  refuseDoubles(tools, fields);
  return toolUse(tools, readToolChoice(fields, responsesChoice), isParallel, fields);
}

function readFunction(fields: JsonFields): ToolSpec {
  const type = fields.requiredString("type");
  if (type !== "function") {
    throw fields.notBuilt(
      "type",
      `tools of type ${type} are not supported: only functions that the client runs itself`,
    );
  }
  return readTool(fields, "parameters");
}

const responsesChoice: ChoiceShape = {
  nameOf: (tool) => tool.requiredString("name"),
  allowedOf: (choice) => choice,
};

function readFormat(fields: JsonFields): Constraint | undefined {
  const format = fields.object("text")?.object("format");
  if (!format) return undefined;
  const type = format.oneOf("type", ["text", "json_object", "json_schema"]);
  if (type === undefined) throw format.error("type", "must be one of text, json_object, json_schema");
  if (type === "json_schema") return requiredSchema(format, "schema");
  return type === "json_object" ? { kind: "json_object" } : undefined;
}

const LOGPROBS = "message.output_text.logprobs";

function readLogprobs(fields: JsonFields): GenerationRequest["logprobs"] {
  const top = fields.integer("top_logprobs", { least: 0, most: 20 });
  const isIncluded = fields.strings("include")?.includes(LOGPROBS) === true;
  if (!isIncluded && top !== undefined && top > 0) throw fields.error("top_logprobs", `needs ${LOGPROBS} in include`);
  return isIncluded ? { top: top ?? 0 } : undefined;
}

/** Members of the request that the response repeats, with their defaults. */
function askedMembers(fields: JsonFields, parallelToolCalls: boolean): JsonObject {
  const reasoning = fields.object("reasoning");
  const value = (name: string, otherwise: unknown): unknown => fields.value(name) ?? otherwise;
  return {
    background: false,
    frequency_penalty: value("frequency_penalty", 0),
    instructions: fields.string("instructions") ?? null,
    max_output_tokens: value("max_output_tokens", null),
    max_tool_calls: fields.integer("max_tool_calls", { least: 1 }) ?? null,
    metadata: fields.object("metadata")?.json ?? {},
    parallel_tool_calls: parallelToolCalls,
    presence_penalty: value("presence_penalty", 0),
    previous_response_id: null,
    prompt_cache_key: fields.string("prompt_cache_key") ?? null,
    reasoning: { effort: reasoning?.string("effort") ?? null, summary: reasoning?.string("summary") ?? null },
    safety_identifier: fields.string("safety_identifier") ?? null,
    service_tier: fields.string("service_tier") ?? "default",
    // Always false, for any value in the request.
    store: false,
    temperature: value("temperature", 1),
    text: { ...fields.object("text")?.json, format: fields.object("text")?.object("format")?.json ?? { type: "text" } },
    tool_choice: value("tool_choice", "auto"),
    tools: (fields.objects("tools") ?? []).map(({ json }) => ({
      description: null,
      parameters: null,
      strict: null,
      ...json,
    })),
    top_logprobs: value("top_logprobs", 0),
    top_p: value("top_p", 1),
    truncation: fields.oneOf("truncation", ["auto", "disabled"]) ?? "disabled",
    user: fields.string("user") ?? null,
  };
}
