import type { Policy } from "./policy.ts";

/** Each in turn. The counter is the instance's own, and each model has its own instance. */
export function createRoundRobin(): Policy {
  let turn = 0;
  return {
    name: "round_robin",
    select(candidates) {
      const index = turn % candidates.length;
      turn = (turn + 1) % Number.MAX_SAFE_INTEGER;
      return index;
    },
  };
}
