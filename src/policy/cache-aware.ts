import { z } from "zod";
import { CandidatePlaces } from "./candidate-places.ts";
import { definePolicy } from "./define-policy.ts";
import { tellIndex } from "./index-news.ts";
import { INDEX_SIZE } from "./index-size.ts";
import { LeastLoaded } from "./least-loaded.ts";
import { LOAD_BOUND_OPTIONS, mostInFlight } from "./load-bound.ts";
import type { PickReason } from "./pick-reasons.ts";
import {
  BYTES_PER_TOKEN,
  type CacheNews,
  type Candidate,
  type Policy,
  type PolicyParts,
  type RequestFeatures,
} from "./policy.ts";
import { matchedRatio, type PromptBlocks } from "./prefix-blocks.ts";
import { PrefixIndex, prefixIndexBytes } from "./prefix-index.ts";

const OPTIONS = z.strictObject({
  cacheThreshold: z
    .number()
    .min(0)
    .max(1)
    .default(0.3)
    .meta({
      description: "share of the prompt that a worker must have seen to be chosen for its cache, 0 to 1.",
      aliases: ["--cache-match-threshold"],
    }),
  ...LOAD_BOUND_OPTIONS,
  maxTreeSize: INDEX_SIZE,
});

/**
 * Remembers which workers were sent which prefixes of prompts, and compares each worker's own load for each request. A bound on the
 * whole fleet, as in other gateways, switches affinity off everywhere as soon as one worker is hot. The fleet then loses its cache
 * hits, and with them the capacity that would have relieved the hot worker.
 */
export const cacheAware = definePolicy({
  name: "cache_aware",
  chooses: "the worker with the longest prefix of the prompt, if its load allows it; else the least loaded",
  goodFor: "chat, agents, shared system prompts",
  signals: { prompt: "takes the least loaded worker" },
  keepsMemory: true,
  options: OPTIONS,
  create: (options, parts) => new CacheAware(options, parts),
});

type CacheAwareOptions = z.output<typeof OPTIONS>;

class CacheAware implements Policy {
  readonly name = "cache_aware";
  lastReason: PickReason = "least_loaded";
  readonly #options: CacheAwareOptions;
  readonly #index: PrefixIndex;
  readonly #leastLoaded: LeastLoaded;
  readonly #places = new CandidatePlaces();

  constructor(options: CacheAwareOptions, { memory, random }: Pick<PolicyParts, "memory" | "random">) {
    this.#options = options;
    this.#index = new PrefixIndex(options.maxTreeSize, memory(prefixIndexBytes(options.maxTreeSize)));
    this.#leastLoaded = new LeastLoaded(random);
  }

  pick(candidates: readonly Candidate[], request: RequestFeatures): number {
    const leastLoaded = this.#leastLoaded.find(candidates);
    const match = this.#bestMatch(candidates, leastLoaded, request.promptBlocks());
    this.lastReason = match === undefined ? "least_loaded" : "cached_prefix";
    const chosen = match ?? leastLoaded;
    const worker = candidates[chosen];
    if (worker) this.#note(worker);
    return chosen;
  }

  forget(_workerId: string, slot: number): void {
    this.#index.forget(slot);
  }

  cacheNews(slot: number, news: CacheNews): void {
    tellIndex(this.#index, slot, news);
  }

  #note({ slot, kvCapacityTokens }: Candidate): void {
    if (kvCapacityTokens !== undefined) this.#index.setBound(slot, kvCapacityTokens * BYTES_PER_TOKEN);
    this.#index.insert(slot);
  }

  /** The candidate with the longest match among those whose load allows it; of equals the one with fewer requests in flight. */
  #bestMatch(candidates: readonly Candidate[], leastLoaded: number, prompt: PromptBlocks): number | undefined {
    const { cacheThreshold } = this.#options;
    if (matchedRatio(this.#index.match(prompt), prompt.bytes) <= cacheThreshold) return undefined;
    const least = candidates[leastLoaded]?.inFlight ?? 0;
    const bound = mostInFlight(this.#options, least);
    const places = this.#places.of(candidates);
    // Only candidates that the index names are compared, in a fleet of any size.
    let next = 0;
    for (let found = this.#index.find(1); next < found; found = this.#index.find(next + 1)) {
      if (matchedRatio(this.#index.bytesAt(next), prompt.bytes) <= cacheThreshold) return undefined;
      const best = this.#leastLoadedOf(candidates, places, next, found, bound);
      if (best >= 0) return best;
      next = found;
    }
    return undefined;
  }

  /** The least loaded of the candidates found, from number `from` to before `to`, with at most `bound` requests in flight; -1 for none. */
  #leastLoadedOf(
    candidates: readonly Candidate[],
    places: Int32Array,
    from: number,
    to: number,
    bound: number,
  ): number {
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let number = from; number < to; number += 1) {
      // The index may name any worker that ever had a slot, among them some that are not candidates.
      const place = places[this.#index.slotAt(number)] ?? -1;
      const inFlight = place < 0 ? Number.POSITIVE_INFINITY : (candidates[place]?.inFlight ?? 0);
      if (inFlight > bound || inFlight >= least) continue;
      best = place;
      least = inFlight;
    }
    return best;
  }
}
