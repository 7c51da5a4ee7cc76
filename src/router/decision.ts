import type { ConsideredWorker, Decision } from "../observability/decision.ts";
import { explainedCosts } from "../policy/explained-costs.ts";
import type { PickReason } from "../policy/pick-reasons.ts";
import type { Candidate, Explanation, Picked, Policy, RequestFeatures } from "../policy/policy.ts";
import type { WorkerType } from "../util/worker-type.ts";

/** Most candidates in a decision, besides the chosen one: enough to see why another one was not chosen. */
const NAMED = 16;

/** One choice of a policy. */
export interface Weighed {
  readonly leg: {
    readonly role: WorkerType;
    readonly policy: Pick<Policy, "name" | "costUnit">;
    readonly snapshot: { readonly available: { readonly length: number } };
  };
  readonly candidates: readonly Pick<Candidate, "url">[];
  /** Index of the chosen candidate. */
  readonly index: number;
  readonly reason: PickReason;
  /** Empty where nobody asked, or the policy does not explain. */
  readonly explanations: readonly Explanation[];
  readonly pick: Picked | undefined;
}

/** What the policy expects of the candidates, asked before it picks; empty where it neither explains nor has costs. */
export function explanationsOf(
  policy: Policy,
  candidates: readonly Candidate[],
  features: RequestFeatures,
): readonly Explanation[] {
  if (candidates.length === 0) return [];
  return policy.explain?.(candidates, features) ?? explainedCosts(policy.costs?.(candidates, features) ?? []);
}

/** The record of a choice, which explains why it was made. */
export function decisionOf({ leg, candidates, index, reason, explanations, pick }: Weighed): Decision {
  const { role, policy, snapshot } = leg;
  const chosen = explanations.find((one) => one.index === index);
  return {
    role,
    policy: policy.name,
    worker: candidates[index]?.url ?? "",
    reason,
    candidates: candidates.length,
    heldBack: Math.max(0, snapshot.available.length - candidates.length),
    unit: explanations.length === 0 ? undefined : (policy.costUnit ?? "points"),
    cost: chosen?.cost,
    considered: consideredOf(explanations, chosen, candidates),
    chargeTokens: pick?.chargeTokens,
    predictedTtftMs: pick?.predictedTtftMs ?? chosen?.predictedTtftMs,
    predictedCachedTokens: pick?.predictedCachedTokens ?? chosen?.cachedTokens,
  };
}

/** The cheapest candidates, the least cost first, and the chosen one even where many others are cheaper. */
function consideredOf(
  explained: readonly Explanation[],
  chosen: Explanation | undefined,
  candidates: Weighed["candidates"],
): ConsideredWorker[] {
  const named = explained.toSorted((a, b) => a.cost - b.cost).slice(0, NAMED);
  if (chosen && !named.includes(chosen)) named.push(chosen);
  return named.map(({ index, cost, terms, predictedTtftMs, cachedTokens, inFlightTokens }) => ({
    worker: candidates[index]?.url ?? "",
    cost,
    terms,
    predictedTtftMs,
    cachedTokens,
    inFlightTokens,
  }));
}
