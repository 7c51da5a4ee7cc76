import type { Decision } from "../observability/request-record.ts";
import type { Picked } from "../policy/policy.ts";
import type { Worker } from "../worker/worker.ts";

/** Most candidates in a decision: enough to see why another one was not chosen. */
const NAMED = 16;

/** One choice of a policy. */
export interface Weighed {
  readonly policy: string;
  readonly candidates: readonly Worker[];
  /** Index of the chosen candidate. */
  readonly index: number;
  /** Costs in the order of the candidates, NaN for one that was not considered; undefined or empty where the policy gives none. */
  readonly costs: readonly number[] | undefined;
  readonly pick: Picked | undefined;
}

/** The record of a choice, which explains why it was made. */
export function decisionOf({ policy, candidates, index, costs = [], pick }: Weighed): Decision {
  const cheapest = candidates
    .map(({ url }, at) => ({ worker: url, cost: costs[at] ?? Number.NaN }))
    .filter(({ cost }) => !Number.isNaN(cost))
    .sort((a, b) => a.cost - b.cost)
    .slice(0, NAMED);
  return {
    policy,
    worker: candidates[index]?.url ?? "",
    candidates: candidates.length,
    cost: costs[index],
    cheapest,
    chargeTokens: pick?.chargeTokens,
  };
}
