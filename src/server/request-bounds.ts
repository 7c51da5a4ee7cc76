import { GatewayError } from "../errors/errors.ts";
import type { JsonBody } from "../protocol/json/json-body.ts";

/** What a member of a request may be, where an engine would allocate or walk by it. */
type Bound =
  | { readonly kind: "number"; readonly least: number; readonly most: number }
  /** A list of so many entries at most; anything else is the engine's to judge. */
  | { readonly kind: "list"; readonly most: number }
  /** Members of the same kind, one object or one for each prompt. */
  | { readonly kind: "parameters" };

const answers: Bound = { kind: "number", least: 1, most: 1024 };
const tokens: Bound = { kind: "number", least: 0, most: 100_000_000 };
/** Below the size of any vocabulary: an engine that is asked for more than it has may fail as a whole. */
const alternatives: Bound = { kind: "number", least: -1, most: 16_384 };
const entries: Bound = { kind: "list", most: 4096 };

/** By name, in whichever of the APIs it is known. */
const BOUNDS: ReadonlyMap<string, Bound> = new Map<string, Bound>([
  ["n", answers],
  ["best_of", answers],
  ["max_tokens", tokens],
  ["max_completion_tokens", tokens],
  ["max_output_tokens", tokens],
  ["max_new_tokens", tokens],
  ["min_tokens", tokens],
  ["min_new_tokens", tokens],
  ["logprobs", alternatives],
  ["top_logprobs", alternatives],
  ["prompt_logprobs", alternatives],
  ["top_logprobs_num", alternatives],
  ["stop", entries],
  ["stop_sequences", entries],
  ["stop_token_ids", entries],
  ["bad_words", entries],
  ["tools", entries],
  ["functions", entries],
  ["sampling_params", { kind: "parameters" }],
]);
/** Longest `sampling_params`, bytes: of a batch of some thousand prompts. */
const MAX_PARAMETERS_BYTES = 1_048_576;
/** Numbers written as text, as some readers take them. */
const WRITTEN_NUMBER = /^[+-]?[0-9]{1,15}(\.[0-9]{1,15})?$/;

/** Throws invalid_request, with the name as `param`, on what no engine should have to refuse itself. */
export function checkBounds(body: JsonBody): void {
  for (const name of body.names()) {
    const bound = BOUNDS.get(name);
    if (bound === undefined) continue;
    if (bound.kind === "list") checkCount(name, body.count(name), bound.most);
    else if (bound.kind === "parameters") checkAllParameters(name, body.value(name, MAX_PARAMETERS_BYTES));
    else checkNumber(name, body.value(name), bound);
  }
}

function checkAllParameters(name: string, value: unknown): void {
  if (value === undefined) {
    throw new GatewayError("invalid_request", `${name} must have at most ${MAX_PARAMETERS_BYTES} bytes`, {
      param: name,
    });
  }
  if (!Array.isArray(value)) checkParameters(name, value);
  else for (const [index, one] of value.entries()) checkParameters(`${name}[${index}]`, one);
}

function checkParameters(path: string, value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    const bound = BOUNDS.get(name);
    if (bound?.kind === "number") checkNumber(`${path}.${name}`, member, bound);
    else if (bound?.kind === "list" && Array.isArray(member)) checkCount(`${path}.${name}`, member.length, bound.most);
  }
}

/** `value` is undefined where it is longer than any number. True and false are small numbers to some, and flags to others. */
function checkNumber(name: string, value: unknown, bound: Bound & { readonly kind: "number" }): void {
  if (value === null || typeof value === "boolean") return;
  if (Array.isArray(value) && name.endsWith(PER_PROMPT)) {
    for (const one of value) checkNumber(name, one, bound);
    return;
  }
  const isNumber = typeof value === "number" || (typeof value === "string" && WRITTEN_NUMBER.test(value));
  const number = Number(value);
  if (isNumber && number >= bound.least && number <= bound.most) return;
  throw new GatewayError("invalid_request", `${name} must be a number from ${bound.least} to ${bound.most}`, {
    param: name,
  });
}

/** May be a list, with a number for each prompt. */
const PER_PROMPT = "top_logprobs_num";

function checkCount(name: string, count: number, most: number): void {
  if (count <= most) return;
  throw new GatewayError("invalid_request", `${name} must have at most ${most} entries`, { param: name });
}
