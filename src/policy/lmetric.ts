import { z } from "zod";
import { Compared } from "./compared.ts";
import { definePolicy } from "./define-policy.ts";
import type { PickReason } from "./pick-reasons.ts";
import {
  BYTES_PER_TOKEN,
  type CacheNews,
  type Candidate,
  type PickEnd,
  type Picked,
  type Policy,
  type PolicyParts,
  type RequestFeatures,
} from "./policy.ts";
import type { PromptBlocks } from "./prefix-blocks.ts";
import { tellIndex } from "./index-news.ts";
import { INDEX_SIZE } from "./index-size.ts";
import { PrefixIndex, prefixIndexBytes } from "./prefix-index.ts";

const OPTIONS = z.strictObject({ maxTreeSize: INDEX_SIZE });

/** Of so many candidates all are compared; of more, a sample. */
const MOST_OF_ALL = 256;
const SAMPLE = 72;

/**
 * The product of the tokens that a worker would have to prefill before this request's first token and the size of its batch with it
 * (LMetric, arXiv 2603.15202). A product needs no weights: each factor counts the more, the larger the other is. Its weak side is an
 * idle worker, which any saving outweighs.
 */
export const lmetric = definePolicy({
  name: "lmetric",
  chooses: "the worker with the least product of tokens to prefill and requests in flight",
  goodFor: "long prompts that share prefixes, without anything to tune",
  signals: {
    prompt: "counts all tokens of each request as new",
    first_token: "counts a prompt as waiting until its answer has ended",
  },
  options: OPTIONS,
  create: ({ maxTreeSize }, parts) => new LMetric(maxTreeSize, parts),
});

class LMetric implements Policy {
  readonly name = "lmetric";
  readonly #index: PrefixIndex;
  readonly #compared: Compared;
  /** The best of the current pick, and its product. */
  #best = -1;
  #least = Number.POSITIVE_INFINITY;
  #leastInFlight = 0;

  constructor(maxTreeSize: number, { memory, random }: Pick<PolicyParts, "memory" | "random">) {
    const index = new PrefixIndex(maxTreeSize, memory(prefixIndexBytes(maxTreeSize)));
    this.#index = index;
    this.#compared = new Compared({ index, random, mostOfAll: MOST_OF_ALL, sample: SAMPLE });
  }

  pick(candidates: readonly Candidate[], request: RequestFeatures): Picked | number {
    const prompt = request.promptBlocks();
    this.#index.match(prompt);
    this.#best = -1;
    this.#least = Number.POSITIVE_INFINITY;
    const count = this.#compared.choose(candidates, false);
    for (let number = 0; number < count; number += 1) {
      this.#weigh(candidates, this.#compared.at(number), request.promptTokens);
    }
    const chosen = candidates[this.#best];
    if (!chosen) return 0;
    const toPrefill = this.#toPrefill(chosen, request.promptTokens);
    this.#setBound(chosen);
    this.#index.insert(chosen.slot);
    return new Placed(this.#best, toPrefill, { index: this.#index, prompt, slot: chosen.slot });
  }

  costs(candidates: readonly Candidate[], request: RequestFeatures): number[] {
    this.#index.match(request.promptBlocks());
    const costs = candidates.map(() => Number.NaN);
    const count = this.#compared.choose(candidates, true);
    for (let number = 0; number < count; number += 1) {
      const index = this.#compared.at(number);
      const candidate = candidates[index];
      if (candidate) costs[index] = this.#productOf(candidate, request.promptTokens);
    }
    return costs;
  }

  forget(_workerId: string, slot: number): void {
    this.#index.forget(slot);
  }

  cacheNews(slot: number, news: CacheNews): void {
    tellIndex(this.#index, slot, news);
  }

  #weigh(candidates: readonly Candidate[], index: number, promptTokens: number): void {
    const candidate = candidates[index];
    if (!candidate) return;
    const product = this.#productOf(candidate, promptTokens);
    // Decode workers prefill nothing, so all products may be equal.
    if (product > this.#least || (product === this.#least && candidate.inFlight >= this.#leastInFlight)) return;
    this.#best = index;
    this.#least = product;
    this.#leastInFlight = candidate.inFlight;
  }

  #productOf(candidate: Candidate, promptTokens: number): number {
    return (candidate.pendingPromptTokens + this.#toPrefill(candidate, promptTokens)) * (candidate.inFlight + 1);
  }

  /** Tokens of this prompt that the worker does not have; at least one, as an engine prefills the last one in any case. */
  #toPrefill({ slot, role }: Candidate, promptTokens: number): number {
    if (role === "decode") return 0;
    const number = this.#index.numberOf(slot);
    const cached = number < 0 ? 0 : this.#index.bytesAt(number) / BYTES_PER_TOKEN;
    return Math.max(1, Math.round(promptTokens - cached));
  }

  #setBound({ slot, kvCapacityTokens }: Candidate): void {
    if (kvCapacityTokens !== undefined) this.#index.setBound(slot, kvCapacityTokens * BYTES_PER_TOKEN);
  }
}

/** What a prompt occupies in the index until its request is over. */
interface Inserted {
  readonly index: PrefixIndex;
  readonly prompt: PromptBlocks;
  readonly slot: number;
}

class Placed implements Picked {
  readonly index: number;
  readonly chargeTokens: number;
  readonly reason: PickReason = "lowest_cost";
  readonly #inserted: Inserted;
  #isSettled = false;

  constructor(index: number, chargeTokens: number, inserted: Inserted) {
    this.index = index;
    this.chargeTokens = chargeTokens;
    this.#inserted = inserted;
  }

  onFirstToken(): void {
    this.#isSettled = true;
    const { index, prompt, slot } = this.#inserted;
    index.settle(prompt, slot);
  }

  onEnd({ outcome }: PickEnd): void {
    if (this.#isSettled) return;
    const { index, prompt, slot } = this.#inserted;
    // An answer that is no stream has no first token.
    if (outcome === "answered") index.settle(prompt, slot);
    else index.withdraw(prompt, slot);
  }
}
