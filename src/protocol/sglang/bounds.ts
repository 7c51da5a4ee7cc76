import type { MemberBound, MemberBounds } from "../member-bounds.ts";
import { ALTERNATIVES, GENERATION_BOUNDS, TOKENS } from "../openai/bounds.ts";

const PARAMETERS: MemberBounds = new Map<string, MemberBound>([
  ...GENERATION_BOUNDS,
  ["max_new_tokens", TOKENS],
  ["min_new_tokens", TOKENS],
]);

/** `/generate` has its parameters in `sampling_params`; other engines that have the route take them beside the prompt. */
export const GENERATE_BOUNDS: MemberBounds = new Map<string, MemberBound>([
  ...PARAMETERS,
  ["top_logprobs_num", { ...ALTERNATIVES, isPerPrompt: true }],
  ["sampling_params", { kind: "parameters", members: PARAMETERS }],
]);
