import type { JsonFields } from "../json/json-fields.ts";
import type { GenerationRequest } from "../generation.ts";

export interface StreamOptions {
  readonly isStream: boolean;
  /** Whether a separate event after the answer has the usage. */
  readonly includeUsage: boolean;
  /** Whether each event has the usage so far. */
  readonly continuousUsage: boolean;
}

/** Reads `stream` and `stream_options` of chat and completions. */
export function readStreamOptions(fields: JsonFields): StreamOptions {
  const isStream = fields.boolean("stream") ?? false;
  const options = fields.object("stream_options");
  if (options && !isStream) throw fields.error("stream_options", "needs stream to be true");
  const includeUsage = options?.boolean("include_usage") ?? false;
  return {
    isStream,
    includeUsage,
    continuousUsage: includeUsage && (options?.boolean("continuous_usage_stats") ?? false),
  };
}

/** Reads vLLM's `prompt_logprobs`, which streams cannot have. */
export function readPromptLogprobs(
  fields: JsonFields,
  { isStream }: StreamOptions,
): GenerationRequest["promptLogprobs"] {
  const top = fields.integer("prompt_logprobs", { least: 0, most: 20 });
  if (top !== undefined && isStream) throw fields.error("prompt_logprobs", "needs stream to be false");
  return top === undefined ? undefined : { top, from: 0 };
}
