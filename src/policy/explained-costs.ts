import type { Explanation } from "./policy.ts";

/** Costs as explanations: without terms, and without the candidates that the policy did not consider (NaN). */
export function explainedCosts(costs: readonly number[]): readonly Explanation[] {
  return [...costs.entries()]
    .filter(([, cost]) => !Number.isNaN(cost))
    .map(([index, cost]) => ({ index, cost, terms: {} }));
}
