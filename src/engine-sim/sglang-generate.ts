import { generatePrompt } from "./prompt.ts";
import type { Plan } from "./generation.ts";
import { type GenerationRun, wantsStream, wholeText } from "./generation-run.ts";
import { dataFrame, DONE_FRAME, errorReply, eventReply, newId } from "./reply.ts";

/** SGLang's `/generate`: text or token ids; a stream repeats the whole text so far in each event. */
export async function generateNative(run: GenerationRun): Promise<Response> {
  const prompt = generatePrompt(run.body);
  if (prompt.length === 0) return errorReply(400, "BadRequestError", "text or input_ids is required", "text");
  const plan = run.plan(prompt);
  const id = newId("");
  if (wantsStream(run.body)) return eventReply(streamNative(run, plan, id));
  return Response.json(nativeObject(plan, id, await wholeText(run, plan), plan.tokens.length));
}

function nativeObject(plan: Plan, id: string, text: string, tokens: number): object {
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
    },
  };
}

async function* streamNative(run: GenerationRun, plan: Plan, id: string): AsyncGenerator<string, void, void> {
  let text = "";
  let tokens = 0;
  for await (const token of run.tokens(plan)) {
    text += token;
    tokens += 1;
    yield dataFrame(nativeObject(plan, id, text, tokens));
  }
  yield DONE_FRAME;
}
