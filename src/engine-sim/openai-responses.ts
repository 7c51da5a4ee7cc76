import { isJsonObject, type JsonObject, numberField, objectField } from "../protocol/json/json.ts";
import type { Plan } from "./generation.ts";
import { type GenerationRun, wantsStream, wholeText } from "./generation-run.ts";
import { logprobEntry } from "./logprobs.ts";
import { responsesPrompt } from "./prompt.ts";
import { errorReply, namedFrame, newId, nowSecs } from "./reply.ts";
import { type ToolCall, toolCallFor } from "./tool-call.ts";

type Status = "in_progress" | "completed" | "incomplete";

/** `/v1/responses`, whole or as events in the order of OpenAI's reference. */
export async function responses(run: GenerationRun): Promise<Response> {
  const prompt = responsesPrompt(run.body);
  if (prompt.length === 0) return errorReply(400, "BadRequestError", "input must not be empty", "input");
  const plan = run.plan(prompt);
  const tool = toolCallFor(run.body);
  if (wantsStream(run.body)) return run.events(streamResponse(run, plan, tool));
  const text = tool ? "" : await wholeText(run, plan);
  const id = newId("resp_");
  const item = tool ? callItem(id, tool, "completed") : messageItem(run, plan, id, text, endOf(plan));
  return Response.json(responseObject(run, plan, id, tool ? "completed" : endOf(plan), [item]));
}

function endOf(plan: Plan): Status {
  return plan.finishReason === "length" ? "incomplete" : "completed";
}

function responseObject(
  { model, body }: GenerationRun,
  plan: Plan,
  id: string,
  status: Status,
  output: readonly object[],
): object {
  return {
    id,
    object: "response",
    created_at: nowSecs(),
    completed_at: status === "completed" ? nowSecs() : null,
    status,
    model,
    output,
    usage: status === "in_progress" ? null : usageOfResponse(plan),
    error: null,
    incomplete_details: status === "incomplete" ? { reason: "max_output_tokens" } : null,
    previous_response_id: null,
    background: false,
    store: false,
    ...repeated(body),
  };
}

/** What a response repeats of its request where it is there, and what it says otherwise. */
const REPEATED = {
  frequency_penalty: 0,
  instructions: null,
  max_output_tokens: null,
  max_tool_calls: null,
  metadata: {},
  parallel_tool_calls: true,
  presence_penalty: 0,
  prompt_cache_key: null,
  reasoning: { effort: null, summary: null },
  safety_identifier: null,
  service_tier: "default",
  temperature: 1,
  tool_choice: "auto",
  top_logprobs: 0,
  top_p: 1,
  truncation: "disabled",
  user: null,
};

function repeated(body: JsonObject): JsonObject {
  const tools = Array.isArray(body["tools"]) ? body["tools"].filter(isJsonObject) : [];
  const given = Object.entries(REPEATED).map(([name, otherwise]) => [name, body[name] ?? otherwise]);
  return {
    ...Object.fromEntries(given),
    text: { format: { type: "text" }, ...objectField(body, "text") },
    tools: tools.map((tool) => ({ description: null, parameters: null, strict: null, ...tool })),
  };
}

/** A response has one item here; an item that has just begun has no content. */
function messageItem(run: GenerationRun, plan: Plan, id: string, text: string | undefined, status: Status): object {
  const content = text === undefined ? [] : [textPart(run, text, text === "" ? [] : plan.tokens)];
  return { type: "message", id: itemId(id, "msg"), status, role: "assistant", content };
}

function callItem(id: string, { name, arguments: text }: ToolCall, status: Status): object {
  const given = status === "in_progress" ? "" : text;
  return { type: "function_call", id: itemId(id, "fc"), status, call_id: itemId(id, "call"), name, arguments: given };
}

function itemId(responseId: string, prefix: string): string {
  return responseId.replace("resp", prefix);
}

function textPart(run: GenerationRun, text: string, tokens: readonly string[]): object {
  return { type: "output_text", text, annotations: [], logprobs: logprobs(run, tokens) };
}

const LOGPROBS = "message.output_text.logprobs";

function logprobs({ body }: GenerationRun, tokens: readonly string[]): object[] {
  const { include } = body;
  if (!Array.isArray(include) || !include.includes(LOGPROBS)) return [];
  const top = numberField(body, "top_logprobs") ?? 0;
  return tokens.map((token) => logprobEntry(token, top));
}

function usageOfResponse(plan: Plan): object {
  return {
    input_tokens: plan.promptTokens,
    input_tokens_details: { cached_tokens: plan.cachedTokens, cache_write_tokens: 0 },
    output_tokens: plan.tokens.length,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: plan.promptTokens + plan.tokens.length,
  };
}

type Frame = (type: string, fields: object) => string;

async function* streamResponse(
  run: GenerationRun,
  plan: Plan,
  tool: ToolCall | undefined,
): AsyncGenerator<string, void, void> {
  const id = newId("resp_");
  let sequence = 0;
  const frame: Frame = (type, fields) => namedFrame({ type, ...{ sequence_number: sequence++ }, ...fields });
  const begun = responseObject(run, plan, id, "in_progress", []);
  yield frame("response.created", { response: begun });
  yield frame("response.in_progress", { response: begun });
  const status = tool ? "completed" : endOf(plan);
  const item = tool ? yield* callEvents(run, plan, id, tool, frame) : yield* messageEvents(run, plan, id, frame);
  yield frame("response.output_item.done", { output_index: 0, item });
  yield frame(`response.${status}`, { response: responseObject(run, plan, id, status, [item]) });
}

/** Returns the item as it is in the end. */
async function* messageEvents(
  run: GenerationRun,
  plan: Plan,
  id: string,
  frame: Frame,
): AsyncGenerator<string, object, void> {
  const place = { item_id: itemId(id, "msg"), output_index: 0, content_index: 0 };
  const item = messageItem(run, plan, id, undefined, "in_progress");
  yield frame("response.output_item.added", { output_index: 0, item });
  yield frame("response.content_part.added", { ...place, part: textPart(run, "", []) });
  let text = "";
  for await (const token of run.tokens(plan)) {
    text += token;
    yield frame("response.output_text.delta", { ...place, delta: token, logprobs: logprobs(run, [token]) });
  }
  yield frame("response.output_text.done", { ...place, text, logprobs: logprobs(run, plan.tokens) });
  yield frame("response.content_part.done", { ...place, part: textPart(run, text, plan.tokens) });
  return messageItem(run, plan, id, text, endOf(plan));
}

async function* callEvents(
  run: GenerationRun,
  plan: Plan,
  id: string,
  tool: ToolCall,
  frame: Frame,
): AsyncGenerator<string, object, void> {
  const place = { item_id: itemId(id, "fc"), output_index: 0 };
  const { name, arguments: text } = tool;
  yield frame("response.output_item.added", { output_index: 0, item: callItem(id, tool, "in_progress") });
  let at = 0;
  // The engine takes its time, whatever it says.
  for await (const _token of run.tokens(plan)) {
    if (at < text.length)
      yield frame("response.function_call_arguments.delta", { ...place, delta: text.slice(at, at + 8) });
    at += 8;
  }
  if (at < text.length) yield frame("response.function_call_arguments.delta", { ...place, delta: text.slice(at) });
  yield frame("response.function_call_arguments.done", { ...place, name, arguments: text });
  return callItem(id, tool, "completed");
}
