import { definePolicy } from "./define-policy.ts";
import { HashRings } from "./hash-ring.ts";
import { LeastLoaded } from "./least-loaded.ts";
import type { PickReason } from "./pick-reasons.ts";
import type { Candidate, Policy, Random, RequestFeatures } from "./policy.ts";
import { mostForPrefix, PREFIX_OPTIONS, type PrefixOptions } from "./prefix-load.ts";
import { hashPromptStart } from "./prompt-start.ts";

/** Points that are looked at in addition to one for each worker. */
const MORE_POINTS = 64;

/**
 * Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016), keyed by the beginning of the prompt. It remembers
 * nothing, so that several gateways and any number of threads agree without talking; and it does not see what a worker has cached.
 */
export const prefixHash = definePolicy({
  name: "prefix_hash",
  chooses: "the worker of the prompt's beginning, by a hash ring, unless it has too many requests",
  goodFor: "shared documents or system prompts, with several gateways that do not talk",
  nearestTo: {
    prefix_aware: "sends prompts with one beginning to one worker",
    chwbl: "is consistent hashing with bounded loads",
    prefixhash: "is consistent hashing with bounded loads",
  },
  signals: { prompt: "takes the least loaded worker" },
  options: PREFIX_OPTIONS,
  create: (options, { random }) => new PrefixHash(options, random),
});

class PrefixHash implements Policy {
  readonly name = "prefix_hash";
  lastReason: PickReason = "least_loaded";
  readonly #options: PrefixOptions;
  readonly #rings = new HashRings();
  readonly #leastLoaded: LeastLoaded;

  constructor(options: PrefixOptions, random: Random) {
    this.#options = options;
    this.#leastLoaded = new LeastLoaded(random);
  }

  pick(candidates: readonly Candidate[], request: RequestFeatures): number {
    this.lastReason = "least_loaded";
    const hash = hashPromptStart(request, this.#options.prefixTokenCount);
    if (hash === undefined) return this.#leastLoaded.find(candidates);
    const ring = this.#rings.of(candidates);
    const first = ring.pointFrom(hash);
    const most = mostForPrefix(this.#options, this.#leastLoaded, candidates);
    // After as many points as there are workers most have been seen; a walk over all points could take long.
    const points = Math.min(ring.size, candidates.length + MORE_POINTS);
    for (let point = first; point < first + points; point += 1) {
      const owner = ring.ownerAt(point);
      if ((candidates[owner]?.inFlight ?? 0) > most) continue;
      this.lastReason = "prompt_hash";
      return owner;
    }
    return this.#leastLoaded.find(candidates);
  }
}
