import type { JsonObject } from "../protocol/json/json.ts";
import type { Plan } from "./generation.ts";

/** What a route answers a request with: the request itself, and generations that the engine counts while they run. */
export interface GenerationRun {
  readonly model: string;
  readonly body: JsonObject;
  /** Plans the answer to a prompt. `begun` is the beginning of the answer, where the request gives one. */
  plan(prompt: Uint8Array, begun?: string): Plan;
  tokens(plan: Plan): AsyncGenerator<string, void, void>;
  /** A response that sends the frames as server-sent events. */
  events(frames: AsyncGenerator<string, void, void>): Response | Promise<Response>;
  /** Whether this engine prefilled the prompt; only then it has log-probabilities of the prompt's tokens. */
  readonly hasPrompt: boolean;
}

/** Runs a generation to its end and returns its text. */
export async function wholeText(run: GenerationRun, plan: Plan): Promise<string> {
  let text = "";
  for await (const token of run.tokens(plan)) text += token;
  return text;
}

/** The usage block of the OpenAI API for one generation. */
export function usageOf(plan: Plan, completionTokens: number = plan.tokens.length): object {
  return {
    prompt_tokens: plan.promptTokens,
    completion_tokens: completionTokens,
    total_tokens: plan.promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: plan.cachedTokens },
  };
}

/** Number of samples of each prompt: what the request wants, from 1 to 16. */
export function sampleCount(wanted: number | undefined): number {
  return Math.max(1, Math.min(wanted ?? 1, 16));
}

/** The usage block of several prompts with `samples` generations each; `plans` has the samples of a prompt together. */
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
