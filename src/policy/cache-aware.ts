import { LeastLoaded } from "./least-loaded.ts";
import type { AllocateShared, Candidate, Policy, RequestFeatures } from "./policy.ts";
import { matchedRatio } from "./prefix-blocks.ts";
import { OWNERS, PrefixIndex, prefixIndexBytes } from "./prefix-index.ts";
import type { Random } from "./random.ts";

export interface CacheAwareOptions {
  /** Share of the prompt that a worker must have seen to be chosen for it, 0 to 1. */
  readonly cacheThreshold: number;
  /** A worker may have this many requests more in flight than the least loaded one and still be chosen for its cache. */
  readonly balanceAbsThreshold: number;
  /** Or this many times as many. */
  readonly balanceRelThreshold: number;
  /** Bytes of prompt that are remembered. */
  readonly maxTreeSize: number;
}

export const DEFAULT_CACHE_AWARE_OPTIONS: CacheAwareOptions = {
  cacheThreshold: 0.3,
  balanceAbsThreshold: 64,
  balanceRelThreshold: 1.5,
  maxTreeSize: 67_108_864,
};

/**
 * The worker that has seen the longest part of the prompt from its beginning, as long as its own load allows it;
 * otherwise the least loaded. The bound on load is looked at for each worker and each request. A bound on the whole
 * fleet, as it is common, switches affinity off everywhere as soon as one worker is hot, and with the caches goes the
 * capacity that would have cooled it.
 */
export function createCacheAware(
  options: CacheAwareOptions,
  memory: AllocateShared = (bytes) => new SharedArrayBuffer(bytes),
  random: Random = Math.random,
): Policy {
  return new CacheAware(options, memory, random);
}

class CacheAware implements Policy {
  readonly name = "cache_aware";
  readonly #options: CacheAwareOptions;
  readonly #index: PrefixIndex;
  readonly #leastLoaded: LeastLoaded;
  /** By list of candidates: their places in it by slot. A list is made once and used until the set changes. */
  readonly #placesOf = new WeakMap<readonly Candidate[], Int32Array>();

  constructor(options: CacheAwareOptions, memory: AllocateShared, random: Random) {
    this.#options = options;
    this.#index = new PrefixIndex(options.maxTreeSize, memory(prefixIndexBytes(options.maxTreeSize)));
    this.#leastLoaded = new LeastLoaded(random);
  }

  select(candidates: readonly Candidate[], request: RequestFeatures): number {
    const prompt = request.promptBytes();
    this.#index.read(prompt);
    const leastLoaded = this.#leastLoaded.find(candidates);
    const chosen = this.#bestMatch(candidates, leastLoaded, prompt.length) ?? leastLoaded;
    const slot = candidates[chosen]?.slot;
    if (slot !== undefined) this.#index.insert(slot);
    return chosen;
  }

  forget(_workerId: string, slot: number): void {
    this.#index.forget(slot);
  }

  /** Longest match among those whose load allows it; of equals the one with fewer in flight. */
  #bestMatch(candidates: readonly Candidate[], leastLoaded: number, promptBytes: number): number | undefined {
    const { cacheThreshold, balanceAbsThreshold, balanceRelThreshold } = this.#options;
    let depth = this.#index.match();
    if (matchedRatio(depth, promptBytes) <= cacheThreshold) return undefined;
    const least = candidates[leastLoaded]?.inFlight ?? 0;
    const bound = Math.max(least + balanceAbsThreshold, least * balanceRelThreshold);
    const places = this.#places(candidates);
    // Only those that the index names are looked at, however many candidates there are.
    for (; matchedRatio(depth, promptBytes) > cacheThreshold; depth -= 1) {
      const best = this.#leastLoadedOwner(candidates, places, depth, bound);
      if (best >= 0) return best;
    }
    return undefined;
  }

  /** Of those that have seen `depth` blocks and have no more than `bound` requests in flight; -1 where there is none. */
  #leastLoadedOwner(candidates: readonly Candidate[], places: Int32Array, depth: number, bound: number): number {
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let which = 0; which < OWNERS; which += 1) {
      const slot = this.#index.owner(depth, which);
      // The index may name any worker that ever had a slot, among them some that are not candidates.
      const place = slot < 0 ? -1 : (places[slot] ?? -1);
      const inFlight = place < 0 ? Number.POSITIVE_INFINITY : (candidates[place]?.inFlight ?? 0);
      if (inFlight > bound || inFlight >= least) continue;
      best = place;
      least = inFlight;
    }
    return best;
  }

  #places(candidates: readonly Candidate[]): Int32Array {
    const known = this.#placesOf.get(candidates);
    if (known) return known;
    let slots = 0;
    for (const { slot } of candidates) slots = Math.max(slots, slot + 1);
    const places = new Int32Array(slots).fill(-1);
    for (const [place, { slot }] of candidates.entries()) places[slot] = place;
    this.#placesOf.set(candidates, places);
    return places;
  }
}
