import type { Explanation } from "../policy.ts";
import {
  ARRIVALS,
  CACHED_TOKENS,
  COST,
  DECODE,
  EVICTION,
  FULL_TOKENS,
  HELD_UP,
  INDEX,
  KV_WALL,
  OVERHEAD_S,
  PREFILL_S,
  SAFE_TOKENS,
  UNHEARD,
  WAITING,
  type Weighed,
} from "./weighed.ts";

/** What was weighed, as objects: the terms of the cost are seconds. */
export function explained(weighed: Weighed): Explanation[] {
  return Array.from({ length: weighed.count }, (_, at) => ({
    index: weighed.of(at, INDEX),
    cost: weighed.of(at, COST),
    terms: {
      waiting: weighed.of(at, WAITING),
      overhead: weighed.of(at, OVERHEAD_S),
      prefill: weighed.of(at, PREFILL_S),
      decode: weighed.of(at, DECODE),
      held_up_decodes: weighed.of(at, HELD_UP),
      arrivals: weighed.of(at, ARRIVALS),
      eviction: weighed.of(at, EVICTION),
      kv_wall: weighed.of(at, KV_WALL),
      unheard: weighed.of(at, UNHEARD),
    },
    predictedTtftMs: weighed.ttftS(at) * 1000,
    cachedTokens: weighed.of(at, CACHED_TOKENS),
    inFlightTokens: weighed.of(at, FULL_TOKENS) - weighed.of(at, SAFE_TOKENS),
  }));
}
