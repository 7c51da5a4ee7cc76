import type { Explanation } from "../policy.ts";
import type { Weighed } from "./weighed.ts";

/** What was weighed, as objects: the terms of the cost are seconds. */
export function explained(weighed: Weighed): Explanation[] {
  return Array.from({ length: weighed.count }, (_, at) => ({
    index: weighed.index[at] ?? 0,
    cost: weighed.cost[at] ?? 0,
    terms: {
      waiting: weighed.waiting[at] ?? 0,
      overhead: weighed.overheadS[at] ?? 0,
      prefill: weighed.prefillS[at] ?? 0,
      decode: weighed.decode[at] ?? 0,
      held_up_decodes: weighed.heldUp[at] ?? 0,
      eviction: weighed.eviction[at] ?? 0,
      kv_wall: weighed.kvWall[at] ?? 0,
    },
    predictedTtftMs: weighed.ttftS(at) * 1000,
    cachedTokens: weighed.cachedTokens[at] ?? 0,
    inFlightTokens: (weighed.fullTokens[at] ?? 0) - (weighed.safeTokens[at] ?? 0),
  }));
}
