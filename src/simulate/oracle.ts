import type { Candidate, PairCandidates, PickedPair, Policy, RequestFeatures } from "../policy/policy.ts";
import type { EngineView, FleetView } from "./driver-fleet.ts";
import type { SimPolicy } from "./driver-gateway.ts";
import { pairByCost } from "./pair-ways.ts";

/**
 * Knows the true queue and cache of each engine, and sends each request where its own first token comes first. Greedy: it does not
 * know what comes later, so a policy that spreads prefixes early or keeps batches small can be better than it. Where prefill and decode
 * are apart, it chooses pairs by their cost.
 */
export const ORACLE: SimPolicy = {
  name: "oracle",
  create: ({ fleet }) => new Oracle("oracle", fleet, (engine, limitMs) => engine.predictTtftMs(limitMs)),
};

/**
 * The oracle of a gateway that hears late of what the others do: it knows the engines as they were when the latest news was sent, and what it
 * has sent itself since. It does not ask itself what others may have sent meanwhile.
 */
export const LATE_ORACLE: SimPolicy = {
  name: "late_oracle",
  isLate: true,
  create: ({ fleet, gateway = "" }) =>
    new Oracle("late_oracle", fleet, (engine, limitMs) => engine.predictLateTtftMs(gateway, limitMs)),
};

/** Predictions that differ by less than this are equal, ms. */
const EQUAL_MS = 1e-6;

/** The time to the first token at an engine, ms; Infinity where it is longer than the limit. */
type Predict = (engine: EngineView, limitMs: number) => number;

class Oracle implements Policy {
  readonly name: string;
  readonly #fleet: FleetView;
  readonly #predict: Predict;
  /** The scan begins at another place each time, so that equal workers share the load. */
  #start = 0;

  constructor(name: string, fleet: FleetView, predict: Predict) {
    this.name = name;
    this.#fleet = fleet;
    this.#predict = predict;
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
      const ttftMs = this.#predict(this.#fleet.engine(slot), predictedTtftMs);
      if (ttftMs >= predictedTtftMs - EQUAL_MS) continue;
      index = place;
      predictedTtftMs = ttftMs;
    }
    return { index, predictedTtftMs };
  }
}
