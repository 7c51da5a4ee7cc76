import type { Logger } from "../observability/logger.ts";
import type { PolicyMaker } from "../policy/define-policy.ts";
import { GuardedPolicy, type PolicyFault, type PolicyWatch } from "../policy/guarded-policy.ts";
import type { PolicyModule } from "../policy/policy-module.ts";
import type { Clock } from "../util/clock.ts";
import { optionsOf } from "./load-policy-module.ts";
import { RareLines } from "./rare-lines.ts";

/** Gets the faults of a module. */
export interface GuardParts {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly watch?: PolicyWatch | undefined;
}

/** The policies of a module as the registry makes them, guarded. Each fault is an error line, the same one at most once a minute. */
export function guardModule(module: PolicyModule, { logger, clock, watch }: GuardParts): PolicyMaker {
  const { name } = module;
  const lines = new RareLines(clock);
  const onFault = ({ policy, what, stack }: PolicyFault): void => {
    if (!lines.isDue(what)) return;
    logger.error({ policy, what, stack }, "the policy module fails");
  };
  return {
    name,
    check: (given) => void optionsOf(module, given),
    create(given, parts) {
      const options = optionsOf(module, given);
      return new GuardedPolicy({ name, create: () => module.create(options, parts), onFault, watch });
    },
  };
}
