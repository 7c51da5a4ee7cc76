import { numberField, objectField } from "../protocol/json/json.ts";
import { alternatives, logprobOf } from "./logprobs.ts";
import { batchPrompts, samplePrompt } from "./prompt.ts";
import type { Plan } from "./generation.ts";
import { type GenerationRun, sampleCount, usageOfBatch, wantsStream, wholeText } from "./generation-run.ts";
import { dataFrame, DONE_FRAME, errorReply, newId, nowSecs } from "./reply.ts";

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
      logprobs: logprobs(run, plan.tokens, echo.length),
      finish_reason: plan.finishReason,
    })),
    usage: usageOfBatch(plans, samples),
  });
}

/** The older shape: lists side by side. Those of an echoed prompt are left out. */
function logprobs(run: GenerationRun, tokens: readonly string[], offset: number): object | null {
  const top = numberField(run.body, "logprobs");
  if (top === undefined) return null;
  let end = offset;
  const textOffset = tokens.map((token) => {
    end += token.length;
    return end - token.length;
  });
  return {
    tokens,
    token_logprobs: tokens.map(logprobOf),
    top_logprobs: top === 0 ? null : tokens.map((token) => Object.fromEntries(alternatives(token, top))),
    text_offset: textOffset,
  };
}

async function* streamCompletion(
  run: GenerationRun,
  plans: readonly Plan[],
  samples: number,
  echo: string,
): AsyncGenerator<string, void, void> {
  const head = { id: newId("cmpl-"), object: "text_completion", created: nowSecs(), model: run.model };
  for (const [index, plan] of plans.entries()) {
    const frame = (text: string, finish: string | null, scores: object | null = null): string =>
      dataFrame({ ...head, choices: [{ index, text, logprobs: scores, finish_reason: finish }] });
    if (echo !== "") yield frame(echo, null);
    let offset = echo.length;
    for await (const token of run.tokens(plan)) {
      yield frame(token, null, logprobs(run, [token], offset));
      offset += token.length;
    }
    yield frame("", plan.finishReason);
  }
  if (objectField(run.body, "stream_options")?.["include_usage"] === true) {
    yield dataFrame({ ...head, choices: [], usage: usageOfBatch(plans, samples) });
  }
  yield DONE_FRAME;
}
