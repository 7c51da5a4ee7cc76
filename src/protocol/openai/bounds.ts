import type { MemberBound, MemberBounds, NumberBound } from "../member-bounds.ts";

const answers: MemberBound = { kind: "number", least: 1, most: 1024 };
/** Bound of a number of tokens. */
export const TOKENS: MemberBound = { kind: "number", least: 0, most: 100_000_000 };
/** Below the size of any vocabulary: an engine may fail as a whole where it is asked for more alternatives than it has tokens. */
export const ALTERNATIVES: NumberBound = { kind: "number", least: -1, most: 16_384 };
/** Bound of lists such as `tools` and `stop`. */
export const ENTRIES: MemberBound = { kind: "list", most: 4096 };

/** Bounds of a conversation that is only turned into tokens. */
export const TOOL_BOUNDS: MemberBounds = new Map<string, MemberBound>([
  ["tools", ENTRIES],
  ["functions", ENTRIES],
]);

/** Bounds of the members that OpenAI's API, and the engines' additions to it, have on every route that generates. */
export const GENERATION_BOUNDS: MemberBounds = new Map<string, MemberBound>([
  ...TOOL_BOUNDS,
  ["n", answers],
  ["best_of", answers],
  ["max_tokens", TOKENS],
  ["max_completion_tokens", TOKENS],
  ["min_tokens", TOKENS],
  ["logprobs", ALTERNATIVES],
  ["top_logprobs", ALTERNATIVES],
  ["prompt_logprobs", ALTERNATIVES],
  ["stop", ENTRIES],
  ["stop_token_ids", ENTRIES],
  ["bad_words", ENTRIES],
]);

export const RESPONSES_BOUNDS: MemberBounds = new Map<string, MemberBound>([
  ...GENERATION_BOUNDS,
  ["max_output_tokens", TOKENS],
]);
