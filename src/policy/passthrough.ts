import type { Policy } from "./policy.ts";

/** The first worker, for a gateway before a single one. */
export function createPassthrough(): Policy {
  return { name: "passthrough", select: () => 0 };
}
