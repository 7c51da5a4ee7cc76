import { isJsonObject, type JsonObject, numberField, objectField, stringField } from "../protocol/json/json.ts";
import { chatPrompt, samplePrompt } from "./prompt.ts";
import type { Plan } from "./generation.ts";
import { type GenerationRun, sampleCount, usageOf, wantsStream, wholeText } from "./generation-run.ts";
import { logprobEntry } from "./logprobs.ts";
import { dataFrame, DONE_FRAME, errorReply, newId, nowSecs } from "./reply.ts";
import { type ToolCall, toolCallFor } from "./tool-call.ts";

/** `/v1/chat/completions`, as vLLM and SGLang answer it. */
export async function chatCompletions(run: GenerationRun): Promise<Response> {
  const { body } = run;
  if (!Array.isArray(body["messages"]) || body["messages"].length === 0 || !body["messages"].every(isJsonObject)) {
    return errorReply(400, "BadRequestError", "messages must be a list of at least one message", "messages");
  }
  const begun = begunAnswer(body);
  const prompt = chatPrompt(begun === undefined ? body : { ...body, messages: body["messages"].slice(0, -1) });
  const plans = Array.from({ length: sampleCount(numberField(body, "n")) }, (_, index) =>
    run.plan(samplePrompt(prompt, index), begun?.trim()),
  );
  const tool = toolCallFor(body);
  if (wantsStream(body)) return run.events(streamChat(run, plans, tool));
  const texts = await Promise.all(plans.map(async (plan) => (tool ? "" : wholeText(run, plan))));
  const [first] = plans;
  return Response.json({
    id: newId("chatcmpl-"),
    object: "chat.completion",
    created: nowSecs(),
    model: run.model,
    choices: plans.map((plan, index) => choice(plan, index, texts[index] ?? "", tool, topLogprobs(body))),
    usage: first ? usageOf(first, tool ? 12 : plans.reduce((sum, plan) => sum + plan.tokens.length, 0)) : null,
  });
}

/** With `continue_final_message` the last message is the beginning of the answer. Templates trim it. */
function begunAnswer(body: JsonObject): string | undefined {
  if (body["continue_final_message"] !== true || !Array.isArray(body["messages"])) return undefined;
  const last: unknown = body["messages"].at(-1);
  return isJsonObject(last) && last["role"] === "assistant" ? stringField(last, "content") : undefined;
}

/** How many alternatives come with each token; `undefined` where there are to be no log probabilities. */
function topLogprobs(body: JsonObject): number | undefined {
  return body["logprobs"] === true ? (numberField(body, "top_logprobs") ?? 0) : undefined;
}

function choice(plan: Plan, index: number, text: string, tool: ToolCall | undefined, top: number | undefined): object {
  const call = tool && {
    id: newId("call_"),
    type: "function",
    function: { name: tool.name, arguments: tool.arguments },
  };
  return {
    index,
    message: {
      role: "assistant",
      content: call ? null : text,
      refusal: null,
      annotations: [],
      ...(call ? { tool_calls: [call] } : {}),
    },
    logprobs:
      top === undefined ? null : { content: plan.tokens.map((token) => logprobEntry(token, top)), refusal: null },
    finish_reason: call ? "tool_calls" : plan.finishReason,
  };
}

async function* streamChat(
  run: GenerationRun,
  plans: readonly Plan[],
  tool: ToolCall | undefined,
): AsyncGenerator<string, void, void> {
  const head = { id: newId("chatcmpl-"), object: "chat.completion.chunk", created: nowSecs(), model: run.model };
  const wantsUsage = objectField(run.body, "stream_options")?.["include_usage"] === true;
  const top = topLogprobs(run.body);
  const frame = (index: number, delta: object, finish: string | null, logprobs: object | null = null): string =>
    dataFrame({
      ...head,
      choices: [{ index, delta, logprobs, finish_reason: finish }],
      ...(wantsUsage ? { usage: null } : {}),
    });
  for (const [index, plan] of plans.entries()) {
    let isFirst = true;
    for await (const token of run.tokens(plan)) {
      if (isFirst) yield frame(index, { role: "assistant", content: "" }, null);
      isFirst = false;
      const logprobs = top === undefined ? null : { content: [logprobEntry(token, top)], refusal: null };
      if (!tool) yield frame(index, { content: token }, null, logprobs);
    }
    if (isFirst) yield frame(index, { role: "assistant", content: "" }, null);
    if (tool) yield* toolFrames(tool, (delta) => frame(index, delta, null));
    yield frame(index, {}, tool ? "tool_calls" : plan.finishReason);
  }
  const [first] = plans;
  if (wantsUsage && first) yield dataFrame({ ...head, choices: [], usage: usageOf(first) });
  yield DONE_FRAME;
}

/** Name first, then the arguments in pieces. */
function* toolFrames(tool: ToolCall, frame: (delta: object) => string): Generator<string, void, void> {
  yield frame({
    tool_calls: [{ index: 0, id: newId("call_"), type: "function", function: { name: tool.name, arguments: "" } }],
  });
  for (let at = 0; at < tool.arguments.length; at += 8) {
    yield frame({ tool_calls: [{ index: 0, function: { arguments: tool.arguments.slice(at, at + 8) } }] });
  }
}
