import type { Policy } from "./policy.ts";

/** Numbers from 0 to below 1; tests bring their own. */
export type Random = () => number;

/** Any worker, each as likely as the other. */
export function createRandom(random: Random = Math.random): Policy {
  return { name: "random", select: (candidates) => Math.floor(random() * candidates.length) };
}
