import { isJsonObject } from "./json/json.ts";
import type { JsonBody } from "./json/json-body.ts";

/** Names of the longest answer, tokens, in OpenAI's chat, completions and Responses, and in Anthropic's messages. */
const MEMBERS = ["max_completion_tokens", "max_tokens", "max_output_tokens"] as const;
/**
 * What a request without such a member is expected to generate, tokens. Engines would let it go on to the end of the model's length, which
 * few answers need; what it really needed is settled at its end.
 */
const USUAL_ANSWER = 256;

/** How many tokens the body's client may get in one answer, by its own words. */
export function askedTokens(body: JsonBody): number {
  for (const member of MEMBERS) {
    const value = body.value(member);
    if (isLength(value)) return value;
  }
  const sampling = body.value("sampling_params");
  const value = isJsonObject(sampling) ? sampling["max_new_tokens"] : undefined;
  return isLength(value) ? value : USUAL_ANSWER;
}

function isLength(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && Number.isFinite(value);
}
