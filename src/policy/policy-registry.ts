import { GatewayError } from "../errors/errors.ts";
import { matchesGlob } from "./glob.ts";
import type { Policy } from "./policy.ts";
import { PolicyMemory } from "./policy-memory.ts";
import { POLICIES, type PolicyFactory, type PolicyOptions } from "./policy-config.ts";

/** A policy by name, with the options that differ from the defaults. */
export interface PolicyConfig {
  readonly policy: string;
  readonly config: PolicyOptions;
}

export interface PolicyRegistryOptions {
  readonly defaultPolicy: PolicyConfig;
  /** What cache_aware has where nobody says otherwise. */
  readonly cacheAware?: PolicyOptions;
  /** What the policies of all threads share; memory of its own for each where there is but one thread. */
  readonly memory?: PolicyMemory;
  /** Policies besides the built-in ones. */
  readonly custom?: readonly { readonly name: string; readonly create: () => Policy }[];
}

/** Why a model has its policy. */
export type PolicySource = "hint" | "pattern" | "default";

interface Assigned {
  readonly policy: Policy;
  readonly source: PolicySource;
  workers: number;
}

/** Whose policy the default one is; no model's id is empty. */
const NO_MODEL = "";

/**
 * Which policy each model has. An instance is one model's alone, made when its first worker comes and dropped with its
 * last; the hint of that first worker comes before the first pattern that matches, which comes before the default.
 */
export class PolicyRegistry {
  readonly #factories = new Map<string, PolicyFactory>(POLICIES);
  readonly #cacheAware: PolicyOptions;
  readonly #defaultConfig: PolicyConfig;
  readonly #default: Policy;
  readonly #patterns: { readonly match: string; readonly config: PolicyConfig }[] = [];
  readonly #models = new Map<string, Assigned>();
  readonly #memory: PolicyMemory;

  /** Throws invalid_request where the default is not known. */
  constructor(options: PolicyRegistryOptions) {
    for (const { name, create } of options.custom ?? []) this.#factories.set(name, create);
    this.#cacheAware = options.cacheAware ?? {};
    this.#memory = options.memory ?? new PolicyMemory();
    this.#defaultConfig = options.defaultPolicy;
    this.#default = this.#create(options.defaultPolicy, NO_MODEL);
  }

  /** Models whose id fits the glob get this policy; the first that fits counts. Throws invalid_request. */
  registerPattern(match: string, config: PolicyConfig): void {
    this.checkName(config.policy);
    this.#patterns.push({ match, config });
  }

  /** Throws invalid_request where no policy has this name. */
  checkName(name: string): void {
    if (this.#factories.has(name)) return;
    const known = [...this.#factories.keys()].join(", ");
    throw new GatewayError("invalid_request", `unknown policy ${JSON.stringify(name)}; the policies are ${known}`, {
      param: "policy",
    });
  }

  /** A worker of the model has come. Returns the model's policy, made now if this is the first. */
  onWorkerAdded(model: string, hint?: string): Policy {
    const known = this.#models.get(model);
    if (known) {
      known.workers += 1;
      return known.policy;
    }
    const { config, source } = this.#choose(model, hint);
    const policy = this.#create(config, model);
    this.#models.set(model, { policy, source, workers: 1 });
    return policy;
  }

  /** A worker of the model has left. With the last one the model's policy goes. */
  onWorkerRemoved(model: string): void {
    const assigned = this.#models.get(model);
    if (!assigned) return;
    assigned.workers -= 1;
    if (assigned.workers > 0) return;
    this.#models.delete(model);
    this.#memory.drop(model);
  }

  /** What the model's policy remembers of this worker is not true any more. */
  forgetWorker(model: string, workerId: string, slot: number): void {
    this.#models.get(model)?.policy.forget?.(workerId, slot);
    this.#default.forget?.(workerId, slot);
  }

  getPolicy(model: string): Policy | undefined {
    return this.#models.get(model)?.policy;
  }

  /** For requests whose model nobody has named. */
  getDefaultPolicy(): Policy {
    return this.#default;
  }

  /** For `GET /policies`. */
  describe(): PolicyDescription {
    return {
      default: { policy: this.#defaultConfig.policy, config: this.#defaultConfig.config },
      patterns: this.#patterns.map(({ match, config }) => ({ match, policy: config.policy, config: config.config })),
      models: [...this.#models]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([model, { policy, source, workers }]) => ({
          model,
          policy: policy.name,
          source,
          workers,
        })),
    };
  }

  #choose(model: string, hint: string | undefined): { config: PolicyConfig; source: PolicySource } {
    if (hint !== undefined) return { config: { policy: hint, config: {} }, source: "hint" };
    const pattern = this.#patterns.find(({ match }) => matchesGlob(match, model));
    return pattern ? { config: pattern.config, source: "pattern" } : { config: this.#defaultConfig, source: "default" };
  }

  #create({ policy, config }: PolicyConfig, model: string): Policy {
    this.checkName(policy);
    const factory = this.#factories.get(policy);
    if (!factory) throw new GatewayError("internal_error", "the policy vanished");
    const options = policy === "cache_aware" ? { ...this.#cacheAware, ...config } : config;
    return factory(options, (bytes) => this.#memory.get(model, bytes));
  }
}

export interface PolicyDescription {
  readonly default: PolicyConfig;
  readonly patterns: readonly (PolicyConfig & { readonly match: string })[];
  readonly models: readonly {
    readonly model: string;
    readonly policy: string;
    readonly source: PolicySource;
    readonly workers: number;
  }[];
}
