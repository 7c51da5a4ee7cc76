import { definePolicy, NO_OPTIONS } from "./define-policy.ts";
import { inFlightOf, LeastLoaded } from "./least-loaded.ts";
import type { Policy, Random } from "./policy.ts";

/** Chooses the least loaded worker. Equals take turns; in very large fleets it compares a sample (`LeastLoaded`). */
export const shortestQueue = definePolicy({
  name: "shortest_queue",
  chooses: "the worker with the fewest requests in flight",
  goodFor: "prompts that share nothing",
  nearestTo: {
    least_request: "takes the worker with the fewest requests in flight",
    request_num: "takes the worker with the fewest requests in flight",
  },
  options: NO_OPTIONS,
  create: (_options, { random }) => createShortestQueue(random),
});

function createShortestQueue(random: Random): Policy {
  const leastLoaded = new LeastLoaded(random);
  return {
    name: "shortest_queue",
    pick: (candidates) => leastLoaded.find(candidates),
    costs: inFlightOf,
    lastReason: "least_loaded",
  };
}
