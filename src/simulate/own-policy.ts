import { optionsOf } from "../context/load-policy-module.ts";
import { GatewayError } from "../errors/errors.ts";
import type { PolicyOptions } from "../policy/define-policy.ts";
import { GuardedPolicy, type PolicyFault } from "../policy/guarded-policy.ts";
import type { PolicyModule } from "../policy/policy-module.ts";
import type { SimPolicy } from "./driver-gateway.ts";

/**
 * The policy of an operator's module, as the gateway runs it. What would be a line in the gateway's log ends the simulation: its figures
 * would be those of another policy. Throws invalid_request for wrong options.
 */
export function ownPolicy(module: PolicyModule, text: string, options: PolicyOptions): SimPolicy {
  optionsOf(module, options);
  return {
    name: text,
    create({ fleet: _fleet, ...parts }) {
      const read = optionsOf(module, options);
      return new GuardedPolicy({ name: module.name, create: () => module.create(read, parts), onFault: refuse });
    },
  };
}

/** Throws policy_failed, unless the policy may do so. */
function refuse({ policy, what, mayBeMeant }: PolicyFault): void {
  if (mayBeMeant) return;
  throw new GatewayError("policy_failed", `${policy}: ${what}`);
}
