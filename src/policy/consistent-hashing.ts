import { definePolicy, NO_OPTIONS } from "./define-policy.ts";
import { HashRings } from "./hash-ring.ts";
import { LeastLoaded } from "./least-loaded.ts";
import type { Policy, Random } from "./policy.ts";

/** Keeps a session on one worker without remembering it: the key's hash says which one. */
export const consistentHashing = definePolicy({
  name: "consistent_hashing",
  aliases: ["consistent_hash"],
  chooses: "the worker of the session or user, by a hash ring; without one the least loaded",
  goodFor: "sessions that must stay on one worker, also across several gateways",
  nearestTo: {
    sticky_round_robin: "keeps a session on one worker",
    rendezvous_hash: "keeps a session on one worker",
    session: "keeps a session on one worker",
  },
  signals: { routing_key: "takes the least loaded worker" },
  options: NO_OPTIONS,
  create: (_options, { random }) => createConsistentHashing(random),
});

function createConsistentHashing(random: Random): Policy {
  const leastLoaded = new LeastLoaded(random);
  const rings = new HashRings();
  let hasKey = false;
  return {
    name: "consistent_hashing",
    keepsSessions: true,
    get lastReason() {
      return hasKey ? "session" : "least_loaded";
    },
    pick(candidates, request) {
      const key = request.routingKey();
      hasKey = key !== undefined;
      return key === undefined ? leastLoaded.find(candidates) : rings.of(candidates).ownerOf(Bun.hash.xxHash32(key));
    },
  };
}
