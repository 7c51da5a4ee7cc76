import { z } from "zod";
import { definePolicy } from "./define-policy.ts";
import { DrainRates } from "./drain-rates.ts";
import { LeastLoaded } from "./least-loaded.ts";
import type { PickReason } from "./pick-reasons.ts";
import type { Candidate, Picked, Policy, Random, RequestFeatures } from "./policy.ts";

const OPTIONS = z.strictObject({
  leastLoadKvPressureWeight: z.number().min(0).max(100).default(0.15).meta({
    description:
      "what a KV cache that is half full costs, seconds. A full one costs a thousand times as much, as its engine has to evict or wait.",
  }),
});

/** Share of a KV cache from which on fuller makes no difference. */
const FULLEST = 0.999;
/** What each request in flight costs, s: it decides where all else is equal or unknown, as among decode workers. */
const SECS_PER_REQUEST = 0.001;

/**
 * The seconds until a worker has worked off the prompts that wait there, and a barrier before a full KV cache as in a queue (k / (1 - k)
 * for a cache that is filled to the share k). It is smg's formula by the gateway's own counts: nothing is polled, so no count is old.
 * Each thread learns the workers' rates by its own requests; the counts are those of all threads.
 */
export const leastLoad = definePolicy({
  name: "least_load",
  chooses: "the worker with the fewest seconds of prompts to prefill, and room in its KV cache",
  goodFor: "prompts of very different lengths that share nothing; workers of different speed",
  signals: {
    first_token: "counts a prompt as waiting until its answer has ended, and does not learn how fast the workers are",
    kv_capacity: "does not keep away from workers whose cache is full",
  },
  options: OPTIONS,
  create: ({ leastLoadKvPressureWeight }, { random }) => new LeastLoad(leastLoadKvPressureWeight, random),
});

class LeastLoad implements Policy {
  readonly name = "least_load";
  readonly costUnit = "s";
  readonly #kvWeight: number;
  readonly #rates = new DrainRates();
  readonly #leastLoaded: LeastLoaded;

  constructor(kvWeight: number, random: Random) {
    this.#kvWeight = kvWeight;
    this.#leastLoaded = new LeastLoaded(random, (candidate) => this.#secsOf(candidate));
  }

  pick(candidates: readonly Candidate[], { promptTokens }: RequestFeatures): Picked {
    const index = this.#leastLoaded.find(candidates);
    const candidate = candidates[index];
    // A decode worker prefills nothing, so its first token says nothing about its rate.
    const tokens = !candidate || candidate.role === "decode" ? 0 : candidate.pendingPromptTokens + promptTokens;
    return new Placed(index, candidate?.slot ?? 0, tokens, this.#rates);
  }

  costs(candidates: readonly Candidate[]): number[] {
    return candidates.map((candidate) => this.#secsOf(candidate));
  }

  forget(_workerId: string, slot: number): void {
    this.#rates.forget(slot);
  }

  #secsOf({ slot, inFlight, pendingPromptTokens, contextTokens, kvCapacityTokens }: Candidate): number {
    const queued = this.#rates.secsFor(slot, pendingPromptTokens) + SECS_PER_REQUEST * inFlight;
    if (kvCapacityTokens === undefined || kvCapacityTokens <= 0) return queued;
    const filled = Math.min(FULLEST, contextTokens / kvCapacityTokens);
    return queued + (this.#kvWeight * filled) / (1 - filled);
  }
}

class Placed implements Picked {
  readonly index: number;
  readonly reason: PickReason = "lowest_cost";
  readonly #slot: number;
  readonly #tokens: number;
  readonly #rates: DrainRates;

  constructor(index: number, slot: number, tokens: number, rates: DrainRates) {
    this.index = index;
    this.#slot = slot;
    this.#tokens = tokens;
    this.#rates = rates;
  }

  onFirstToken(ms: number): void {
    this.#rates.learn(this.#slot, this.#tokens, ms);
  }
}
