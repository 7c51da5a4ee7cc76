import type { TokenCount } from "../generation.ts";

/** Usage as chat and completions have it; details where the engine told them. */
export function usageBlock({ promptTokens, completionTokens, cachedTokens, reasoningTokens }: TokenCount): object {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    ...(cachedTokens === undefined ? {} : { prompt_tokens_details: { cached_tokens: cachedTokens } }),
    ...(reasoningTokens === undefined ? {} : { completion_tokens_details: { reasoning_tokens: reasoningTokens } }),
  };
}
