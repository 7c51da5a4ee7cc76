import { numberField, objectField } from "../protocol/json/json.ts";
import { batchPrompts, samplePrompt } from "./prompt.ts";
import type { Plan } from "./generation.ts";
import { type GenerationRun, sampleCount, wantsStream, wholeText } from "./generation-run.ts";
import { dataFrame, DONE_FRAME, errorReply, newId } from "./reply.ts";

/** SGLang's `/generate`: text or token ids, alone or as a batch; a stream repeats the whole text so far in each event. */
export async function generateNative(run: GenerationRun): Promise<Response> {
  const input = run.body["text"] ?? run.body["input_ids"];
  const prompts = batchPrompts(input);
  if (prompts.some((prompt) => prompt.length === 0)) {
    return errorReply(400, "BadRequestError", "text or input_ids is required", "text");
  }
  const samples = sampleCount(numberField(objectField(run.body, "sampling_params") ?? {}, "n"));
  const plans = prompts.flatMap((prompt) =>
    Array.from({ length: samples }, (_, index) => run.plan(samplePrompt(prompt, index))),
  );
  const isBatch = samples > 1 || (Array.isArray(input) && typeof input[0] !== "number");
  if (wantsStream(run.body)) return run.events(streamNative(run, plans, isBatch));
  const answers = await Promise.all(
    plans.map(async (plan) => nativeObject(run, plan, newId(""), await wholeText(run, plan), plan.tokens.length)),
  );
  return Response.json(isBatch ? answers : answers[0]);
}

function nativeObject(run: GenerationRun, plan: Plan, id: string, text: string, tokens: number): object {
  const isLast = tokens === plan.tokens.length;
  return {
    text,
    output_ids: Array.from({ length: tokens }, (_, index) => 1000 + index),
    meta_info: {
      id,
      finish_reason: isLast ? { type: plan.finishReason } : null,
      prompt_tokens: plan.promptTokens,
      completion_tokens: tokens,
      cached_tokens: plan.cachedTokens,
      ...(run.body["return_logprob"] === true ? logprobs(run, plan, tokens) : {}),
    },
  };
}

/** Triples of log probability, token id and text. Those of the prompt begin at `logprob_start_len`; without it there are none. */
function logprobs(run: GenerationRun, plan: Plan, tokens: number): object {
  const start = numberField(run.body, "logprob_start_len") ?? -1;
  const wanted = start < 0 || !run.hasPrompt ? 0 : Math.max(0, plan.promptTokens - start);
  return {
    input_token_logprobs: Array.from({ length: wanted }, (_, index) => {
      const at = start + index;
      return [at === 0 ? null : -(((at * 7) % 10) + 1) / 10, at, null];
    }),
    output_token_logprobs: plan.tokens
      .slice(0, tokens)
      .map((token, index) => [-(token.length / 10), 1000 + index, null]),
  };
}

async function* streamNative(
  run: GenerationRun,
  plans: readonly Plan[],
  isBatch: boolean,
): AsyncGenerator<string, void, void> {
  for (const [index, plan] of plans.entries()) {
    const id = newId("");
    let text = "";
    let tokens = 0;
    for await (const token of run.tokens(plan)) {
      text += token;
      tokens += 1;
      yield dataFrame({ ...nativeObject(run, plan, id, text, tokens), ...(isBatch ? { index } : {}) });
    }
  }
  yield DONE_FRAME;
}
