import { definePolicy } from "./define-policy.ts";
import { type HashRing, HashRings, scramble } from "./hash-ring.ts";
import { LeastLoaded } from "./least-loaded.ts";
import type { PickReason } from "./pick-reasons.ts";
import type { Candidate, Policy, Random, RequestFeatures } from "./policy.ts";
import { mostForPrefix, PREFIX_OPTIONS, type PrefixOptions } from "./prefix-load.ts";
import { hashPromptStart } from "./prompt-start.ts";

/** Points of the second hash that are looked at for another worker than the first. */
const LOOKS = 32;

/**
 * Two workers for each beginning of a prompt, by two hashes of it (after DualMap, arXiv 2602.06502). The first has the cache; the second
 * takes over where waiting at the first costs more than it saves: where more tokens pend there than pend at the second and this prompt
 * has together. A hot prefix thereby lives on two workers. Only where both have far more requests than the mean, the least loaded worker
 * gets the request. It remembers nothing, so several gateways and any number of threads agree without talking.
 */
export const twoChoiceHash = definePolicy({
  name: "two_choice_hash",
  aliases: ["dualmap"],
  chooses: "the first of two workers of the prompt's beginning, or the second where it is quicker",
  goodFor: "shared documents or system prompts of which some are hot",
  signals: { prompt: "takes the least loaded worker" },
  options: PREFIX_OPTIONS,
  create: (options, { random }) => new TwoChoiceHash(options, random),
});

class TwoChoiceHash implements Policy {
  readonly name = "two_choice_hash";
  lastReason: PickReason = "prompt_hash";
  readonly #options: PrefixOptions;
  readonly #rings = new HashRings();
  readonly #leastLoaded: LeastLoaded;

  constructor(options: PrefixOptions, random: Random) {
    this.#options = options;
    this.#leastLoaded = new LeastLoaded(random);
  }

  pick(candidates: readonly Candidate[], request: RequestFeatures): number {
    const hash = hashPromptStart(request, this.#options.prefixTokenCount);
    this.lastReason = hash === undefined ? "least_loaded" : "prompt_hash";
    if (hash === undefined) return this.#leastLoaded.find(candidates);
    const ring = this.#rings.of(candidates);
    const first = ring.ownerOf(hash);
    const second = this.#second(ring, hash, first);
    const [one, other] = [candidates[first], candidates[second]];
    const best = one && other && isWorthIt(one, other, request.promptTokens) ? second : first;
    const most = mostForPrefix(this.#options, this.#leastLoaded, candidates);
    if ((candidates[best]?.inFlight ?? 0) <= most) return best;
    this.lastReason = "least_loaded";
    return this.#leastLoaded.find(candidates);
  }

  /** Another worker than the first; -1 where there is none. */
  #second(ring: HashRing, hash: number, first: number): number {
    const point = ring.pointFrom(scramble(hash + 1));
    for (let look = point; look < point + LOOKS; look += 1) {
      const owner = ring.ownerAt(look);
      if (owner !== first) return owner;
    }
    return -1;
  }
}

/** Decode workers prefill nothing, so there the requests in flight are compared. */
function isWorthIt(first: Candidate, second: Candidate, promptTokens: number): boolean {
  if (first.role === "decode") return first.inFlight > second.inFlight + 1;
  return first.pendingPromptTokens > second.pendingPromptTokens + promptTokens;
}
