import type { PairCandidates, PickedPair, Policy, RequestFeatures } from "../policy/policy.ts";
import type { EngineView, FleetView } from "./driver-fleet.ts";
import type { SimPolicy } from "./driver-gateway.ts";

/** A way to choose a pair from the true state of all engines, so that its formula is judged and not what a gateway knows. */
export interface PairWay extends SimPolicy {
  readonly chooses: string;
}

/** Time to hand a KV cache over: a fixed part, and for each token that the decode worker does not have, ms. */
const HAND_OVER_MS = 3;
const HAND_OVER_TOKEN_MS = 0.01;
/** Steps of decoding that count: the first token's and ten more. */
const STEPS = 11;
/** What decoding adds to a step: for each sequence, and for each token of context, ms. */
const SEQUENCE_MS = 0.419;
const CONTEXT_TOKEN_MS = 1.42e-4;
/** From this share of the KV cache on, each further percent costs 100 ms. */
const WALL_AT = 0.9;
const WALL_MS = 10_000;
/** Share of a prefill that each decoding sequence on the same worker is held up by. */
const HELD_UP = 0.2;

/** Decode of this request, and what its worker has to do for it, ms. */
function decodeMs(engine: EngineView, promptTokens: number): number {
  const stepMs = SEQUENCE_MS * engine.decoding + CONTEXT_TOKEN_MS * engine.contextTokens;
  const full = (engine.contextTokens + promptTokens) / engine.kvTokens;
  return STEPS * stepMs + WALL_MS * Math.max(0, full - WALL_AT);
}

function handOverMs(engine: EngineView, promptTokens: number): number {
  return HAND_OVER_MS + HAND_OVER_TOKEN_MS * (promptTokens - engine.hitTokens);
}

interface Least {
  readonly index: number;
  readonly ms: number;
}

/** The candidate with the lowest cost. */
function least(candidates: PairCandidates["decoders"], fleet: FleetView, cost: (engine: EngineView) => number): Least {
  let best: Least = { index: 0, ms: Number.POSITIVE_INFINITY };
  for (const [index, { slot }] of candidates.entries()) {
    const ms = cost(fleet.engine(slot));
    if (ms < best.ms) best = { index, ms };
  }
  return best;
}

type Choose = (candidates: PairCandidates, fleet: FleetView, promptTokens: number) => PickedPair;

function way(name: string, chooses: string, choose: Choose): PairWay {
  return { name, chooses, create: ({ fleet }) => new ExactPairs(name, fleet, choose) };
}

class ExactPairs implements Policy {
  readonly name: string;
  readonly #fleet: FleetView;
  readonly #choose: Choose;

  constructor(name: string, fleet: FleetView, choose: Choose) {
    this.name = name;
    this.#fleet = fleet;
    this.#choose = choose;
  }

  /** Without a pair to choose: where the first token comes first. */
  pick(candidates: PairCandidates["decoders"]): number {
    return least(candidates, this.#fleet, (engine) => engine.predictTtftMs()).index;
  }

  pickPair(candidates: PairCandidates, { promptTokens }: RequestFeatures): PickedPair {
    return this.#choose(candidates, this.#fleet, promptTokens);
  }
}

/** The prefill worker whose first token comes first, and its time. The best one is the same for each decode worker. */
function bestPrefill({ prefillers }: PairCandidates, fleet: FleetView): Least {
  return least(prefillers, fleet, (engine) => engine.predictTtftMs());
}

function byCache(candidates: PairCandidates, fleet: FleetView, promptTokens: number): PickedPair {
  const decode = least(
    candidates.decoders,
    fleet,
    (engine) => handOverMs(engine, promptTokens) + decodeMs(engine, promptTokens),
  );
  return { prefill: bestPrefill(candidates, fleet), decode };
}

/** Leaves the prefill worker out where the decode worker has all but so many tokens of the prompt. */
function skipUnder(tokens: number): Choose {
  return (candidates, fleet, promptTokens) => {
    const { decode } = byCache(candidates, fleet, promptTokens);
    const engine = fleet.engine(candidates.decoders[decode.index]?.slot ?? 0);
    const isShort = candidates.prefillsAlone(decode.index) && promptTokens - engine.hitTokens < tokens;
    return { prefill: isShort ? undefined : bestPrefill(candidates, fleet), decode };
  };
}

/** The pair, or the decode worker alone, that costs least. */
export function pairByCost(candidates: PairCandidates, fleet: FleetView, promptTokens: number): PickedPair {
  const { decoders } = candidates;
  const prefill = bestPrefill(candidates, fleet);
  const apart = least(decoders, fleet, (engine) => handOverMs(engine, promptTokens) + decodeMs(engine, promptTokens));
  const alone = least(
    decoders,
    fleet,
    (engine) =>
      engine.predictTtftMs() + HELD_UP * engine.ownPrefillMs * engine.decoding + decodeMs(engine, promptTokens),
  );
  const mayBeAlone = candidates.prefillsAlone(alone.index);
  return mayBeAlone && alone.ms < prefill.ms + apart.ms
    ? { prefill: undefined, decode: alone }
    : { prefill, decode: apart };
}

/** All ways, for fleets whose workers prefill or decode. */
export const PAIR_WAYS: readonly PairWay[] = [
  way(
    "pd_separate",
    "always a prefill worker, and the decode worker with the least to decode",
    (candidates, fleet, promptTokens) => ({
      prefill: bestPrefill(candidates, fleet),
      decode: least(candidates.decoders, fleet, (engine) => decodeMs(engine, promptTokens)),
    }),
  ),
  way("pd_cache", "always a prefill worker, and the decode worker that has most of the prompt", byCache),
  way("pd_skip_512", "no prefill worker where the decode worker has all but 512 tokens of the prompt", skipUnder(512)),
  way(
    "pd_skip_2048",
    "no prefill worker where the decode worker has all but 2048 tokens of the prompt",
    skipUnder(2048),
  ),
  way("pd_cost", "the pair, or the decode worker alone, that costs least", pairByCost),
];
