import { isJsonObject } from "../json/json.ts";
import type { JsonBody } from "../json/json-body.ts";
import { answersEach } from "../openai/sequences.ts";
import { type PromptList, promptCount } from "../prompt-count.ts";
import { memberAt } from "../json/splice.ts";
import { OPEN_BRACKET } from "../../util/ascii.ts";

const PROMPTS: readonly PromptList[] = [
  ["text", 1],
  ["input_ids", 1],
  ["input_embeds", 2],
];

/** Answers to `/generate`: `sampling_params.n` for each of its prompts. */
export function sampleCount(body: JsonBody): number {
  return promptCount(body, PROMPTS) * samplesEach(body);
}

/** Answers to each prompt of a body of `/generate`. */
export function samplesEach(body: JsonBody): number {
  return answersEach(samplesOf(body));
}

/** SGLang takes parameters for all prompts, or one object for each prompt; then all of them must have the same `n`. */
function samplesOf(body: JsonBody): unknown {
  const params = body.raw("sampling_params");
  if (params?.[0] !== OPEN_BRACKET) return params && jsonOf(memberAt(params, ["n"]));
  const all = jsonOf(params);
  const first: unknown = Array.isArray(all) ? all[0] : undefined;
  return isJsonObject(first) ? first["n"] : undefined;
}

function jsonOf(raw: Uint8Array | undefined): unknown {
  return raw && JSON.parse(Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString("utf8"));
}
