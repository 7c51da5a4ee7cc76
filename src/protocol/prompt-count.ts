import { OPEN_BRACKET } from "../util/ascii.ts";
import type { JsonBody } from "./json/json-body.ts";

/** A member that holds prompts, and how many lists deep one prompt is: 1 for token ids, 2 for embeddings. */
export type PromptList = readonly [member: string, depth: number];

/** How many prompts a body has in these members: at least 1, as an engine answers a body without a prompt with an error. */
export function promptCount(body: JsonBody, lists: readonly PromptList[]): number {
  let count = 0;
  for (const [member, depth] of lists) {
    const raw = body.raw(member);
    if (raw?.[0] === OPEN_BRACKET && !isOnePrompt(raw, depth)) count += body.count(member);
  }
  return Math.max(1, count);
}

/** Whether the value is one prompt: lists of this depth, and then a number. */
function isOnePrompt(raw: Uint8Array, depth: number): boolean {
  const start = Buffer.from(raw.subarray(0, 256)).toString("latin1").replaceAll(/\s/g, "");
  return /^-?\d/.test(start.slice(depth)) && start.startsWith("[".repeat(depth));
}
