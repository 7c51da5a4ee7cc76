import type { TokenCount } from "../generation.ts";

/** The usage of chat and completions, with details where the engine reported them. */
export function usageBlock({ promptTokens, completionTokens, cachedTokens, reasoningTokens }: TokenCount): object {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    ...(cachedTokens === undefined ? {} : { prompt_tokens_details: { cached_tokens: cachedTokens } }),
    ...(reasoningTokens === undefined ? {} : { completion_tokens_details: { reasoning_tokens: reasoningTokens } }),
  };
}
