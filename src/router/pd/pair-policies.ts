import type { PolicyRegistry } from "../../policy/policy-registry.ts";
import type { KeptPolicy } from "../../policy/kept-policy.ts";
import type { WorkerType } from "../../util/worker-type.ts";

/** The policies of all models and roles. */
export type LegPolicies = Pick<PolicyRegistry, "getPolicy" | "getDefaultPolicy">;

/** The policy of a model's workers with this role. */
export function policyOf(policies: LegPolicies, model: string, role: WorkerType): KeptPolicy {
  return policies.getPolicy(model, role) ?? policies.getDefaultPolicy();
}

/** Whether the policies of a model choose its prefill and decode worker at once; only then a request may go without a prefill worker. */
export function choosesPairs(policies: LegPolicies, model: string): boolean {
  return policyOf(policies, model, "prefill").pairsWith?.(policyOf(policies, model, "decode")) === true;
}
