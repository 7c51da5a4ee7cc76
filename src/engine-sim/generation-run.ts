import type { JsonObject } from "../protocol/json/json.ts";
import type { Plan } from "./generation.ts";

/** What a route has to answer with: the request, and generations that are counted while they run. */
export interface GenerationRun {
  readonly model: string;
  readonly body: JsonObject;
  /** `begun` is the beginning of the answer, where the request gives it. */
  plan(prompt: Uint8Array, begun?: string): Plan;
  tokens(plan: Plan): AsyncGenerator<string, void, void>;
  /** Frames as server-sent events. */
  events(frames: AsyncGenerator<string, void, void>): Response | Promise<Response>;
  /** Whether this engine has computed the prompt, and so has log probabilities of its tokens. */
  readonly hasPrompt: boolean;
}

/** All tokens together. */
export async function wholeText(run: GenerationRun, plan: Plan): Promise<string> {
  let text = "";
  for await (const token of run.tokens(plan)) text += token;
  return text;
}

/** OpenAI's usage block. */
export function usageOf(plan: Plan, completionTokens: number = plan.tokens.length): object {
  return {
    prompt_tokens: plan.promptTokens,
    completion_tokens: completionTokens,
    total_tokens: plan.promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: plan.cachedTokens },
  };
}

/** Samples of each prompt that the request asks for, 16 at most. */
export function sampleCount(wanted: number | undefined): number {
  return Math.max(1, Math.min(wanted ?? 1, 16));
}

/** The usage of a batch in which each prompt has this many samples. */
export function usageOfBatch(plans: readonly Plan[], samples: number): object {
  const prompts = plans.filter((_, index) => index % samples === 0);
  const promptTokens = prompts.reduce((sum, plan) => sum + plan.promptTokens, 0);
  const completionTokens = plans.reduce((sum, plan) => sum + plan.tokens.length, 0);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: prompts.reduce((sum, plan) => sum + plan.cachedTokens, 0) },
  };
}

export function wantsStream(body: JsonObject): boolean {
  return body["stream"] === true;
}
