import type { JsonObject } from "../protocol/json.ts";
import type { Plan } from "./generation.ts";

/** What a route has to answer with: the request, and generations that are counted while they run. */
export interface GenerationRun {
  readonly model: string;
  readonly body: JsonObject;
  /** `begun` is the beginning of the answer, where the request gives it. */
  plan(prompt: Uint8Array, begun?: string): Plan;
  tokens(plan: Plan): AsyncGenerator<string, void, void>;
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

export function wantsStream(body: JsonObject): boolean {
  return body["stream"] === true;
}
