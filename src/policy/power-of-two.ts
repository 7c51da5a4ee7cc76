import type { Policy } from "./policy.ts";
import type { Random } from "./random.ts";

/**
 * Of two different random workers the one with fewer requests in flight: close to the least loaded, at a cost that does
 * not grow with the fleet.
 */
export function createPowerOfTwo(random: Random = Math.random): Policy {
  return {
    name: "power_of_two",
    select(candidates) {
      const count = candidates.length;
      if (count < 2) return count - 1;
      const one = Math.floor(random() * count);
      // One of the others: the draw is over one fewer, and steps over the first.
      const draw = Math.floor(random() * (count - 1));
      const other = draw >= one ? draw + 1 : draw;
      return (candidates[other]?.inFlight ?? 0) < (candidates[one]?.inFlight ?? 0) ? other : one;
    },
  };
}
