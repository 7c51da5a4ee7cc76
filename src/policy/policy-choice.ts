import { GatewayError } from "../errors/errors.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { PolicyMaker, PolicyOptions } from "./define-policy.ts";
import { matchesGlob } from "./glob.ts";
import { POLICIES } from "./policies.ts";
import type { SessionAffinityOptions } from "./session-affinity.ts";

/** A policy's name, with the options that differ from the gateway's. */
export interface PolicyConfig {
  readonly policy: string;
  readonly config: PolicyOptions;
}

/** A policy for the models whose id matches a glob. */
export interface PolicyPattern {
  readonly match: string;
  readonly policy: PolicyConfig;
}

/** Which policies models have. */
export interface PolicyChoice {
  readonly defaultPolicy: PolicyConfig;
  /** Defaults for the roles prefill and decode, where they differ. */
  readonly roleDefaults: Partial<Readonly<Record<Exclude<WorkerType, "regular">, PolicyConfig>>>;
  /** By policy: its options where no pattern sets them. */
  readonly options: Readonly<Record<string, PolicyOptions>>;
  /** Sessions stay on their workers with any policy; undefined where only the policy decides. */
  readonly sessions: SessionAffinityOptions | undefined;
  /** The first that matches counts. */
  readonly patterns: readonly PolicyPattern[];
  /** Policies that are evaluated beside those of the models; the first that matches counts. */
  readonly shadows: readonly PolicyPattern[];
}

/** Why a model has its policy. */
export type PolicySource = "hint" | "pattern" | "default";

/** The policy for a model, and what it is made of. */
export interface Chosen {
  readonly config: PolicyConfig;
  readonly source: PolicySource;
  /** The policy that is evaluated beside it. */
  readonly shadow: PolicyConfig | undefined;
  /** Sessions stay on their workers in front of it; undefined where only the policy decides. */
  readonly sessions: SessionAffinityOptions | undefined;
  readonly madeOf: MadeOf;
}

/** What each part of a model's policy is made of, as text: two parts with one text are the same. */
export interface MadeOf {
  readonly policy: string;
  /** Empty without one. */
  readonly shadow: string;
  /** Empty without them. */
  readonly sessions: string;
}

/** Chooses the policy of a model: the hint of its first worker, otherwise the first pattern that matches, otherwise the default. */
export class PolicyChooser {
  readonly #makers = new Map<string, PolicyMaker>();
  #choice: PolicyChoice;

  /** `custom`: policies in addition to the built-in ones. Throws what `check` throws. */
  constructor(choice: PolicyChoice, custom: readonly PolicyMaker[]) {
    for (const maker of [...POLICIES, ...custom]) this.#makers.set(maker.name, maker);
    this.check(choice);
    this.#choice = choice;
  }

  get choice(): PolicyChoice {
    return this.#choice;
  }

  /** Throws what `check` throws; then nothing has changed. */
  replace(choice: PolicyChoice): void {
    this.check(choice);
    this.#choice = choice;
  }

  /** Throws invalid_request if a policy of the choice is unknown, or has a wrong option. */
  check({ defaultPolicy, roleDefaults, options, patterns, shadows }: PolicyChoice): void {
    const named = [...patterns, ...shadows].map(({ policy }) => policy);
    for (const { policy, config } of [defaultPolicy, ...Object.values(roleDefaults), ...named]) {
      this.makerOf(policy).check({ ...options[policy], ...config });
    }
  }

  /** Throws invalid_request if no policy has this name. */
  makerOf(name: string): PolicyMaker {
    const maker = this.#makers.get(name);
    if (maker) return maker;
    const known = [...this.#makers.keys()].join(", ");
    throw new GatewayError("invalid_request", `unknown policy ${JSON.stringify(name)}; the policies are ${known}`, {
      param: "policy",
    });
  }

  optionsOf({ policy, config }: PolicyConfig): PolicyOptions {
    return { ...this.#choice.options[policy], ...config };
  }

  /** The policy for requests without a model. */
  ofNoModel(): Chosen {
    return this.#with({ config: this.#choice.defaultPolicy, source: "default" }, undefined);
  }

  of(model: string, hint: string | undefined, role: WorkerType): Chosen {
    // The policies of prefill and decode workers may choose both at once, so they have no shadows.
    const shadow = role === "regular" ? firstMatch(this.#choice.shadows, model) : undefined;
    return this.#with(this.#choose(model, hint, role), shadow);
  }

  #choose(model: string, hint: string | undefined, role: WorkerType): Pick<Chosen, "config" | "source"> {
    if (hint !== undefined) return { config: { policy: hint, config: {} }, source: "hint" };
    const { patterns, defaultPolicy, roleDefaults } = this.#choice;
    const pattern = firstMatch(patterns, model);
    if (pattern) return { config: pattern, source: "pattern" };
    const config = role === "regular" ? defaultPolicy : (roleDefaults[role] ?? defaultPolicy);
    return { config, source: "default" };
  }

  #with(choice: Pick<Chosen, "config" | "source">, shadow: PolicyConfig | undefined): Chosen {
    const { sessions } = this.#choice;
    const told = (one: PolicyConfig): string => JSON.stringify([one.policy, this.optionsOf(one)]);
    return {
      ...choice,
      shadow,
      sessions,
      madeOf: {
        policy: told(choice.config),
        shadow: shadow ? told(shadow) : "",
        sessions: sessions ? JSON.stringify(sessions) : "",
      },
    };
  }
}

function firstMatch(patterns: readonly PolicyPattern[], model: string): PolicyConfig | undefined {
  return patterns.find(({ match }) => matchesGlob(match, model))?.policy;
}
