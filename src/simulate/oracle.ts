import type { Candidate, PairCandidates, PickedPair, Policy, RequestFeatures } from "../policy/policy.ts";
import type { FleetView } from "./driver-fleet.ts";
import type { SimPolicy } from "./driver-gateway.ts";
import { pairByCost } from "./pair-ways.ts";

/**
 * Knows the true queue and cache of each engine, and sends each request where its own first token comes first. Greedy: it does not
 * know what comes later, so a policy that spreads prefixes early or keeps batches small can be better than it. Where prefill and decode
 * are apart, it chooses pairs by their cost.
 */
export const ORACLE: SimPolicy = { name: "oracle", create: ({ fleet }) => new Oracle(fleet) };

/** Predictions that differ by less than this are equal, ms. */
const EQUAL_MS = 1e-6;

class Oracle implements Policy {
  readonly name = "oracle";
  readonly #fleet: FleetView;
  /** The scan begins at another place each time, so that equal workers share the load. */
  #start = 0;

  constructor(fleet: FleetView) {
    this.#fleet = fleet;
  }

  pickPair(candidates: PairCandidates, { promptTokens }: RequestFeatures): PickedPair {
    return pairByCost(candidates, this.#fleet, promptTokens);
  }

  pick(candidates: readonly Candidate[]): { readonly index: number; readonly predictedTtftMs: number } {
    let index = 0;
    let predictedTtftMs = Number.POSITIVE_INFINITY;
    this.#start += 1;
    for (let offset = 0; offset < candidates.length; offset += 1) {
      const place = (this.#start + offset) % candidates.length;
      const slot = candidates[place]?.slot ?? 0;
      const ttftMs = this.#fleet.engine(slot).predictTtftMs(predictedTtftMs);
      if (ttftMs >= predictedTtftMs - EQUAL_MS) continue;
      index = place;
      predictedTtftMs = ttftMs;
    }
    return { index, predictedTtftMs };
  }
}
