import { definePolicy, NO_OPTIONS } from "./define-policy.ts";
import { inFlightOf } from "./least-loaded.ts";
import type { Policy, Random } from "./policy.ts";

/** Chooses the less loaded of two random workers. Its cost does not grow with the fleet. */
export const powerOfTwo = definePolicy({
  name: "power_of_two",
  chooses: "of two random workers the one with fewer requests in flight",
  goodFor: "very large fleets",
  options: NO_OPTIONS,
  create: (_options, { random }) => createPowerOfTwo(random),
});

function createPowerOfTwo(random: Random): Policy {
  return {
    name: "power_of_two",
    pick(candidates) {
      const count = candidates.length;
      if (count < 2) return count - 1;
      const one = Math.floor(random() * count);
      // Draws one of the other workers: the range is one smaller, and skips the first.
      const draw = Math.floor(random() * (count - 1));
      const other = draw >= one ? draw + 1 : draw;
      return (candidates[other]?.inFlight ?? 0) < (candidates[one]?.inFlight ?? 0) ? other : one;
    },
    costs: inFlightOf,
    lastReason: "least_loaded",
  };
}
