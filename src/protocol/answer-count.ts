import { OPEN_BRACKET } from "../util/ascii.ts";
import type { JsonBody } from "./json/json-body.ts";
import { isJsonObject } from "./json/json.ts";
import { memberAt } from "./json/splice.ts";

/** Answers that a request asks for: its prompts, times the answers to each. `best_of` only says among how many the engine chooses. */
export function answerCount(endpoint: string, body: JsonBody): number {
  const n = endpoint === "generate" ? nativeSamples(body) : body.value("n");
  return promptCount(endpoint, body) * (typeof n === "number" && Number.isInteger(n) && n > 1 ? n : 1);
}

/** SGLang takes the same for all prompts, or one for each, which then must agree. */
function nativeSamples(body: JsonBody): unknown {
  const params = body.raw("sampling_params");
  if (params?.[0] !== OPEN_BRACKET) return params && jsonOf(memberAt(params, ["n"]));
  const all = jsonOf(params);
  const first: unknown = Array.isArray(all) ? all[0] : undefined;
  return isJsonObject(first) ? first["n"] : undefined;
}

/** Members that hold prompts, with how many lists deep a single prompt is: token ids are a list, embeddings a list of lists. */
const PROMPTS: Readonly<Record<string, readonly (readonly [name: string, depth: number])[]>> = {
  completions: [
    ["prompt", 1],
    ["prompt_embeds", 1],
  ],
  generate: [
    ["text", 1],
    ["input_ids", 1],
    ["input_embeds", 2],
  ],
};

function promptCount(endpoint: string, body: JsonBody): number {
  let count = 0;
  for (const [name, depth] of PROMPTS[endpoint] ?? []) {
    const raw = body.raw(name);
    if (raw?.[0] === OPEN_BRACKET && !isOnePrompt(raw, depth)) count += body.count(name);
  }
  return Math.max(1, count);
}

/** Lists of that depth with a number in them. */
function isOnePrompt(raw: Uint8Array, depth: number): boolean {
  const start = Buffer.from(raw.subarray(0, 256)).toString("latin1").replaceAll(/\s/g, "");
  return /^-?\d/.test(start.slice(depth)) && start.startsWith("[".repeat(depth));
}

function jsonOf(raw: Uint8Array | undefined): unknown {
  return raw && JSON.parse(Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString("utf8"));
}
