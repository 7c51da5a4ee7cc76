import type { KeptPolicy } from "./kept-policy.ts";
import { type ShadowChoice, ShadowedPolicy } from "./shadowed-policy.ts";

/** Gets what shadows do. */
export interface ShadowEvents {
  onChoice(model: string, shadow: string, choice: ShadowChoice): void;
  /** An error that a shadow or its judge threw. */
  onFault(policy: string, error: unknown): void;
}

/** A policy to be made, by its name. */
interface Named {
  readonly policy: string;
}

/** The policy that says what the choices of a shadow and of the policy beside it cost: its costs are seconds. */
const JUDGE = { policy: "least_ttft", config: {} };

/** Parts of a policy's key in the shared memory: those of its shadow, and of the judge. */
export const SHADOW_PARTS = ["\u0000shadow", "\u0000judge"] as const;

/** Tells nobody. */
export const NO_SHADOW_EVENTS: ShadowEvents = { onChoice: () => undefined, onFault: () => undefined };

/** The policy with its shadow. `create` makes instances whose memory has this part of the key. */
export function withShadow<Config extends Named>(
  { real, model, shadow, events }: ShadowedParts<Config>,
  create: (config: Config | typeof JUDGE, part: (typeof SHADOW_PARTS)[number]) => KeptPolicy,
): KeptPolicy {
  return new ShadowedPolicy({
    real,
    shadow: create(shadow, SHADOW_PARTS[0]),
    judge: create(JUDGE, SHADOW_PARTS[1]),
    onChoice: (choice) => events.onChoice(model, shadow.policy, choice),
    onFault: (policy, error) => events.onFault(policy, error),
  });
}

/** A policy, and the one to be evaluated beside it. */
interface ShadowedParts<Config extends Named> {
  readonly real: KeptPolicy;
  readonly model: string;
  readonly shadow: Config;
  readonly events: ShadowEvents;
}
