import { isJsonObject, type JsonObject, numberField, objectField } from "./json/json.ts";

/** Tokens of an answer as the worker counted them; undefined where it did not say. */
export interface Usage {
  readonly promptTokens: number | undefined;
  readonly completionTokens: number | undefined;
  /** Prompt tokens in the worker's prefix cache. */
  readonly cachedTokens: number | undefined;
}

/**
 * Reads the usage of an answer or a stream event of any API: OpenAI chat and completions (`usage.prompt_tokens`),
 * Responses and Anthropic (`usage.input_tokens`, also within `response` and `message`), SGLang (`meta_info`).
 */
export function readUsage(value: unknown): Usage | undefined {
  const answer: unknown = Array.isArray(value) ? value.at(-1) : value;
  if (!isJsonObject(answer)) return undefined;
  const block =
    objectField(answer, "usage") ??
    objectField(objectField(answer, "response") ?? {}, "usage") ??
    objectField(objectField(answer, "message") ?? {}, "usage") ??
    objectField(answer, "meta_info");
  return block && fromBlock(block);
}

function fromBlock(block: JsonObject): Usage {
  const details = objectField(block, "prompt_tokens_details") ?? objectField(block, "input_tokens_details") ?? {};
  return {
    promptTokens: numberField(block, "prompt_tokens") ?? numberField(block, "input_tokens"),
    completionTokens: numberField(block, "completion_tokens") ?? numberField(block, "output_tokens"),
    cachedTokens:
      numberField(details, "cached_tokens") ??
      numberField(block, "cached_tokens") ??
      numberField(block, "cache_read_input_tokens"),
  };
}

/** Joins the first and the last usage of a stream: Anthropic's API counts the prompt in the first event and the answer in the last. */
export function mergeUsage(first: Usage | undefined, last: Usage | undefined): Usage | undefined {
  if (!first || !last) return last ?? first;
  return {
    promptTokens: last.promptTokens ?? first.promptTokens,
    completionTokens: last.completionTokens ?? first.completionTokens,
    cachedTokens: last.cachedTokens ?? first.cachedTokens,
  };
}
