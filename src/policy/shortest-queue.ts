import { LeastLoaded } from "./least-loaded.ts";
import type { Policy } from "./policy.ts";
import type { Random } from "./random.ts";

/** The worker with the fewest requests in flight. */
export function createShortestQueue(random: Random = Math.random): Policy {
  const leastLoaded = new LeastLoaded(random);
  return { name: "shortest_queue", select: (candidates) => leastLoaded.find(candidates) };
}
