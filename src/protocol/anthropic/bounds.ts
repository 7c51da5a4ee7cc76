import type { MemberBound, MemberBounds } from "../member-bounds.ts";
import { ENTRIES, GENERATION_BOUNDS } from "../openai/bounds.ts";

/** Engines make an OpenAI request of a body for `/v1/messages`, so the members of one are bounded here too. */
export const MESSAGES_BOUNDS: MemberBounds = new Map<string, MemberBound>([
  ...GENERATION_BOUNDS,
  ["stop_sequences", ENTRIES],
]);
