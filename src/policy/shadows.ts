import { matchesGlob } from "./glob.ts";
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

/** Which policies are evaluated beside those of the models. */
export class Shadows<Config extends Named> {
  readonly #events: ShadowEvents;
  readonly #patterns: { readonly match: string; readonly config: Config }[] = [];

  constructor(events: ShadowEvents | undefined) {
    this.#events = events ?? { onChoice: () => undefined, onFault: () => undefined };
  }

  /** Gives models whose id matches the glob this shadow; the first match counts. */
  register(match: string, config: Config): void {
    this.#patterns.push({ match, config });
  }

  /** The shadow of a model; undefined for none. */
  of(model: string): Config | undefined {
    return this.#patterns.find(({ match }) => matchesGlob(match, model))?.config;
  }

  /** The policy with its shadow. `create` makes instances whose memory has this part of the key. */
  beside(
    real: KeptPolicy,
    model: string,
    config: Config,
    create: (config: Config | typeof JUDGE, part: (typeof SHADOW_PARTS)[number]) => KeptPolicy,
  ): KeptPolicy {
    const events = this.#events;
    return new ShadowedPolicy({
      real,
      shadow: create(config, SHADOW_PARTS[0]),
      judge: create(JUDGE, SHADOW_PARTS[1]),
      onChoice: (choice) => events.onChoice(model, config.policy, choice),
      onFault: (policy, error) => events.onFault(policy, error),
    });
  }
}
