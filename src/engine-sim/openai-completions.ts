import { numberField, objectField } from "../protocol/json.ts";
import { batchPrompts, responsesPrompt, samplePrompt } from "./prompt.ts";
import type { Plan } from "./generation.ts";
import { type GenerationRun, sampleCount, usageOfBatch, wantsStream, wholeText } from "./generation-run.ts";
import { dataFrame, DONE_FRAME, errorReply, namedFrame, newId, nowSecs } from "./reply.ts";

/** `/v1/completions`: a string, token ids, or a batch of either; `n`, `echo`. */
export async function completions(run: GenerationRun): Promise<Response> {
  const prompts = batchPrompts(run.body["prompt"]);
  if (prompts.some((prompt) => prompt.length === 0)) {
    return errorReply(400, "BadRequestError", "prompt must not be empty", "prompt");
  }
  const samples = sampleCount(numberField(run.body, "n"));
  // The answer is the rest of the prompt: its first word follows a space.
  const plans = prompts.flatMap((prompt) =>
    Array.from({ length: samples }, (_, index) => run.plan(samplePrompt(prompt, index), "")),
  );
  const echo = run.body["echo"] === true && typeof run.body["prompt"] === "string" ? run.body["prompt"] : "";
  if (wantsStream(run.body)) return run.events(streamCompletion(run, plans, samples, echo));
  const texts = await Promise.all(plans.map(async (plan) => wholeText(run, plan)));
  return Response.json({
    id: newId("cmpl-"),
    object: "text_completion",
    created: nowSecs(),
    model: run.model,
    choices: plans.map((plan, index) => ({
      index,
      text: echo + (texts[index] ?? ""),
      logprobs: null,
      finish_reason: plan.finishReason,
    })),
    usage: usageOfBatch(plans, samples),
  });
}

async function* streamCompletion(
  run: GenerationRun,
  plans: readonly Plan[],
  samples: number,
  echo: string,
): AsyncGenerator<string, void, void> {
  const head = { id: newId("cmpl-"), object: "text_completion", created: nowSecs(), model: run.model };
  for (const [index, plan] of plans.entries()) {
    const frame = (text: string, finish: string | null): string =>
      dataFrame({ ...head, choices: [{ index, text, logprobs: null, finish_reason: finish }] });
    if (echo !== "") yield frame(echo, null);
    for await (const token of run.tokens(plan)) yield frame(token, null);
    yield frame("", plan.finishReason);
  }
  if (objectField(run.body, "stream_options")?.["include_usage"] === true) {
    yield dataFrame({ ...head, choices: [], usage: usageOfBatch(plans, samples) });
  }
  yield DONE_FRAME;
}

/** `/v1/responses`, whole or as events in the order of OpenAI's reference. */
export async function responses(run: GenerationRun): Promise<Response> {
  const prompt = responsesPrompt(run.body);
  if (prompt.length === 0) return errorReply(400, "BadRequestError", "input must not be empty", "input");
  const plan = run.plan(prompt);
  if (wantsStream(run.body)) return run.events(streamResponse(run, plan));
  return Response.json(responseObject(run, plan, newId("resp_"), "completed", await wholeText(run, plan)));
}

function responseObject(run: GenerationRun, plan: Plan, id: string, status: string, text: string | undefined): object {
  const message = { type: "message", id: `msg_${id.slice(5)}`, status: "completed", role: "assistant" };
  return {
    id,
    object: "response",
    created_at: nowSecs(),
    status,
    model: run.model,
    output: text === undefined ? [] : [{ ...message, content: [outputText(text)] }],
    usage: text === undefined ? null : responseUsage(plan),
    error: null,
    incomplete_details: null,
    instructions: run.body["instructions"] ?? null,
    previous_response_id: null,
    metadata: {},
    parallel_tool_calls: true,
    temperature: 1,
    tool_choice: "auto",
    tools: [],
    top_p: 1,
  };
}

function outputText(text: string): object {
  return { type: "output_text", text, annotations: [] };
}

function responseUsage(plan: Plan): object {
  return {
    input_tokens: plan.promptTokens,
    input_tokens_details: { cached_tokens: plan.cachedTokens },
    output_tokens: plan.tokens.length,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: plan.promptTokens + plan.tokens.length,
  };
}

async function* streamResponse(run: GenerationRun, plan: Plan): AsyncGenerator<string, void, void> {
  const id = newId("resp_");
  const place = { item_id: `msg_${id.slice(5)}`, output_index: 0, content_index: 0 };
  const item = { type: "message", id: place.item_id, role: "assistant" };
  let sequence = 0;
  const frame = (type: string, fields: object): string =>
    namedFrame({ type, ...{ sequence_number: sequence++ }, ...fields });
  yield frame("response.created", { response: responseObject(run, plan, id, "in_progress", undefined) });
  yield frame("response.in_progress", { response: responseObject(run, plan, id, "in_progress", undefined) });
  yield frame("response.output_item.added", { output_index: 0, item: { ...item, status: "in_progress", content: [] } });
  yield frame("response.content_part.added", { ...place, part: outputText("") });
  let text = "";
  for await (const token of run.tokens(plan)) {
    text += token;
    yield frame("response.output_text.delta", { ...place, delta: token, logprobs: [] });
  }
  yield frame("response.output_text.done", { ...place, text, logprobs: [] });
  yield frame("response.content_part.done", { ...place, part: outputText(text) });
  yield frame("response.output_item.done", {
    output_index: 0,
    item: { ...item, status: "completed", content: [outputText(text)] },
  });
  yield frame("response.completed", { response: responseObject(run, plan, id, "completed", text) });
}
