import { isJsonObject, type JsonObject, numberField, objectField } from "./json/json.ts";

/** Tokens of an answer as the worker counted them; undefined where it did not say. */
export interface Usage {
  readonly promptTokens: number | undefined;
  readonly completionTokens: number | undefined;
  /** Prompt tokens in the worker's prefix cache. */
  readonly cachedTokens: number | undefined;
}

/** More tokens than any answer has: a larger number is a mistake of the worker. */
const MOST_TOKENS = 2 ** 31;

/**
 * Reads the usage of an answer or a stream event of any API: OpenAI chat and completions (`usage.prompt_tokens`),
 * Responses and Anthropic (`usage.input_tokens`, also within `response` and `message`), SGLang (`meta_info`). A count that cannot be one
 * (negative, a fraction, more cached tokens than the prompt has) is taken for untold.
 */
export function readUsage(answer: unknown): Usage | undefined {
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
  const promptTokens = countField(block, "prompt_tokens") ?? inputTokens(block);
  const cachedTokens =
    countField(details, "cached_tokens") ??
    countField(block, "cached_tokens") ??
    countField(block, "cache_read_input_tokens");
  return {
    promptTokens,
    completionTokens: countField(block, "completion_tokens") ?? countField(block, "output_tokens"),
    cachedTokens: (cachedTokens ?? 0) > (promptTokens ?? MOST_TOKENS) ? undefined : cachedTokens,
  };
}

/**
 * The whole prompt by `input_tokens`. Anthropic's API does not count there what it reads from the cache or writes into it (vLLM 0.32
 * and SGLang do the same); Responses counts all of it there.
 */
function inputTokens(block: JsonObject): number | undefined {
  const rest = countField(block, "input_tokens");
  if (rest === undefined) return undefined;
  return (
    rest + (countField(block, "cache_read_input_tokens") ?? 0) + (countField(block, "cache_creation_input_tokens") ?? 0)
  );
}

function countField(block: JsonObject, key: string): number | undefined {
  const count = numberField(block, key);
  return count !== undefined && Number.isInteger(count) && count >= 0 && count < MOST_TOKENS ? count : undefined;
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
