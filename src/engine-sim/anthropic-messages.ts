import { numberField } from "../protocol/json/json.ts";
import { chatPrompt } from "./prompt.ts";
import type { Plan } from "./generation.ts";
import { type GenerationRun, wantsStream, wholeText } from "./generation-run.ts";
import { namedFrame, newId } from "./reply.ts";
import { countTokens } from "./text.ts";
import { type ToolCall, toolCallFor } from "./tool-call.ts";

/** `/v1/messages`, whole or as events in the order of Anthropic's reference. */
export async function messages(run: GenerationRun): Promise<Response> {
  if (!Array.isArray(run.body["messages"]) || numberField(run.body, "max_tokens") === undefined) {
    const error = { type: "invalid_request_error", message: "messages and max_tokens are required" };
    return Response.json({ type: "error", error }, { status: 400 });
  }
  const plan = run.plan(chatPrompt(run.body));
  const tool = toolCallFor(run.body);
  if (wantsStream(run.body)) return run.events(streamMessage(run, plan, tool));
  const content = tool ? toolUse(tool.name, tool.input) : textBlock(await wholeText(run, plan));
  return Response.json({
    ...message(run, plan, plan.tokens.length),
    content: [content],
    stop_reason: stopReason(plan, tool),
  });
}

/** `/v1/messages/count_tokens`; generates nothing. */
export function countMessageTokens(run: GenerationRun): Response {
  return Response.json({ input_tokens: countTokens(chatPrompt(run.body)) });
}

function message(run: GenerationRun, plan: Plan, outputTokens: number): object {
  return {
    id: newId("msg_"),
    type: "message",
    role: "assistant",
    model: run.model,
    content: [],
    container: null,
    stop_details: null,
    stop_reason: null,
    stop_sequence: null,
    usage: { ...usage(plan, outputTokens), cache_creation: null, inference_geo: null, service_tier: null },
  };
}

function usage(plan: Plan, outputTokens: number): object {
  return {
    input_tokens: plan.promptTokens - plan.cachedTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: plan.cachedTokens,
    output_tokens: outputTokens,
    output_tokens_details: null,
    server_tool_use: null,
  };
}

function textBlock(text: string): object {
  return { type: "text", text, citations: null };
}

function toolUse(name: string, input: unknown): object {
  return { type: "tool_use", id: newId("toolu_"), caller: { type: "direct" }, name, input };
}

function stopReason(plan: Plan, tool: ToolCall | undefined): string {
  if (tool) return "tool_use";
  return plan.finishReason === "length" ? "max_tokens" : "end_turn";
}

async function* streamMessage(
  run: GenerationRun,
  plan: Plan,
  tool: ToolCall | undefined,
): AsyncGenerator<string, void, void> {
  yield namedFrame({ type: "message_start", ...{ message: message(run, plan, 0) } });
  const block = tool ? toolUse(tool.name, {}) : textBlock("");
  yield namedFrame({ type: "content_block_start", ...{ index: 0, content_block: block } });
  const delta = (fields: object): string => namedFrame({ type: "content_block_delta", ...{ index: 0, delta: fields } });
  for await (const token of run.tokens(plan)) {
    if (!tool) yield delta({ type: "text_delta", text: token });
  }
  if (tool) yield delta({ type: "input_json_delta", partial_json: tool.arguments });
  yield namedFrame({ type: "content_block_stop", ...{ index: 0 } });
  const end = {
    delta: { container: null, stop_details: null, stop_reason: stopReason(plan, tool), stop_sequence: null },
    usage: usage(plan, plan.tokens.length),
  };
  yield namedFrame({ type: "message_delta", ...end });
  yield namedFrame({ type: "message_stop" });
}
