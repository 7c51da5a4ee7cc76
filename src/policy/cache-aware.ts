import { LeastLoaded } from "./least-loaded.ts";
import type { AllocateShared, Candidate, Policy, RequestFeatures } from "./policy.ts";
import { matchedRatio, PrefixIndex, prefixIndexBytes } from "./prefix-index.ts";
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
  /** The candidates of the last call: the set changes seldom, and is another array then. */
  #known: readonly Candidate[] | undefined;
  #depths = new Int32Array(0);

  constructor(options: CacheAwareOptions, memory: AllocateShared, random: Random) {
    this.#options = options;
    this.#index = new PrefixIndex(options.maxTreeSize, memory(prefixIndexBytes(options.maxTreeSize)));
    this.#leastLoaded = new LeastLoaded(random);
  }

  select(candidates: readonly Candidate[], request: RequestFeatures): number {
    if (candidates !== this.#known) this.#makeRoom(candidates);
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
    const depths = this.#depths;
    depths.fill(0);
    const deepest = this.#index.match(depths);
    if (matchedRatio(deepest, promptBytes) <= this.#options.cacheThreshold) return undefined;
    const least = candidates[leastLoaded]?.inFlight ?? 0;
    const bound = Math.max(least + this.#options.balanceAbsThreshold, least * this.#options.balanceRelThreshold);
    let best: number | undefined;
    let bestDepth = 0;
    let bestInFlight = 0;
    for (let index = 0; index < candidates.length; index += 1) {
      const depth = depths[candidates[index]?.slot ?? -1] ?? 0;
      if (depth === 0 || depth < bestDepth) continue;
      const inFlight = candidates[index]?.inFlight ?? 0;
      if (inFlight > bound || (depth === bestDepth && inFlight >= bestInFlight)) continue;
      best = index;
      bestDepth = depth;
      bestInFlight = inFlight;
    }
    return matchedRatio(bestDepth, promptBytes) > this.#options.cacheThreshold ? best : undefined;
  }

  /** The index may name any worker that ever had a slot, among them some that are not candidates. */
  #makeRoom(candidates: readonly Candidate[]): void {
    this.#known = candidates;
    let size = 0;
    for (const { slot } of candidates) size = Math.max(size, slot + 1);
    if (this.#depths.length < size) this.#depths = new Int32Array(size * 2);
  }
}
