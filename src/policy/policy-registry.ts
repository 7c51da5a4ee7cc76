import { GatewayError } from "../errors/errors.ts";
import { matchesGlob } from "./glob.ts";
import type { Policy } from "./policy.ts";
import { PolicyMemory } from "./policy-memory.ts";
import type { WorkerType } from "../util/worker-type.ts";
import { POLICIES, type PolicyFactory, type PolicyOptions } from "./policy-config.ts";

/** A policy by name, with the options that differ from the defaults. */
export interface PolicyConfig {
  readonly policy: string;
  readonly config: PolicyOptions;
}

export interface PolicyRegistryOptions {
  readonly defaultPolicy: PolicyConfig;
  /** Where prefill and decode have another default than the rest. */
  readonly roleDefaults?: Partial<Readonly<Record<Exclude<WorkerType, "regular">, PolicyConfig>>>;
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
  readonly model: string;
  readonly role: WorkerType;
  readonly policy: Policy;
  readonly source: PolicySource;
  workers: number;
}

/** Whose policy the default one is; no model's id is empty. */
const NO_MODEL = "";

/**
 * Which policy each model has, and each role of a model whose prefill and decode are apart. An instance is one model's
 * alone, made when its first worker comes and dropped with its last; the hint of that first worker comes before the first
 * pattern that matches, which comes before the default.
 */
export class PolicyRegistry {
  readonly #factories = new Map<string, PolicyFactory>(POLICIES);
  readonly #cacheAware: PolicyOptions;
  readonly #defaultConfig: PolicyConfig;
  readonly #default: Policy;
  readonly #patterns: { readonly match: string; readonly config: PolicyConfig }[] = [];
  readonly #roleDefaults: NonNullable<PolicyRegistryOptions["roleDefaults"]>;
  /** By model and role. */
  readonly #models = new Map<string, Assigned>();
  readonly #memory: PolicyMemory;

  /** Throws invalid_request where the default is not known. */
  constructor(options: PolicyRegistryOptions) {
    for (const { name, create } of options.custom ?? []) this.#factories.set(name, create);
    this.#cacheAware = options.cacheAware ?? {};
    this.#memory = options.memory ?? new PolicyMemory();
    this.#defaultConfig = options.defaultPolicy;
    this.#roleDefaults = options.roleDefaults ?? {};
    for (const { policy } of Object.values(this.#roleDefaults)) this.checkName(policy);
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
  onWorkerAdded(model: string, hint?: string, role: WorkerType = "regular"): Policy {
    const key = keyOf(model, role);
    const known = this.#models.get(key);
    if (known) {
      known.workers += 1;
      return known.policy;
    }
    const { config, source } = this.#choose(model, hint, role);
    const policy = this.#create(config, key);
    this.#models.set(key, { model, role, policy, source, workers: 1 });
    return policy;
  }

  /** A worker of the model has left. With the last one the model's policy goes. */
  onWorkerRemoved(model: string, role: WorkerType = "regular"): void {
    const key = keyOf(model, role);
    const assigned = this.#models.get(key);
    if (!assigned) return;
    assigned.workers -= 1;
    if (assigned.workers > 0) return;
    this.#models.delete(key);
    this.#memory.drop(key);
  }

  /** What the model's policy remembers of this worker is not true any more. */
  forgetWorker(model: string, workerId: string, slot: number, role: WorkerType = "regular"): void {
    this.#models.get(keyOf(model, role))?.policy.forget?.(workerId, slot);
    this.#default.forget?.(workerId, slot);
  }

  getPolicy(model: string, role: WorkerType = "regular"): Policy | undefined {
    return this.#models.get(keyOf(model, role))?.policy;
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
        .map(([, { model, role, policy, source, workers }]) => ({
          model,
          ...(role === "regular" ? {} : { role }),
          policy: policy.name,
          source,
          workers,
        })),
    };
  }

  #choose(model: string, hint: string | undefined, role: WorkerType): { config: PolicyConfig; source: PolicySource } {
    if (hint !== undefined) return { config: { policy: hint, config: {} }, source: "hint" };
    const pattern = this.#patterns.find(({ match }) => matchesGlob(match, model));
    if (pattern) return { config: pattern.config, source: "pattern" };
    const config = role === "regular" ? this.#defaultConfig : (this.#roleDefaults[role] ?? this.#defaultConfig);
    return { config, source: "default" };
  }

  #create({ policy, config }: PolicyConfig, model: string): Policy {
    this.checkName(policy);
    const factory = this.#factories.get(policy);
    if (!factory) throw new GatewayError("internal_error", "the policy vanished");
    const options = policy === "cache_aware" ? { ...this.#cacheAware, ...config } : config;
    return factory(options, (bytes) => this.#memory.get(model, bytes));
  }
}

/** A model's one policy is found by the model's own name: nothing is put together for it on the way of a request. */
function keyOf(model: string, role: WorkerType): string {
  return role === "regular" ? model : `${model}\u0000${role}`;
}

export interface PolicyDescription {
  readonly default: PolicyConfig;
  readonly patterns: readonly (PolicyConfig & { readonly match: string })[];
  readonly models: readonly {
    readonly model: string;
    /** Where prefill and decode are apart. */
    readonly role?: WorkerType;
    readonly policy: string;
    readonly source: PolicySource;
    readonly workers: number;
  }[];
}
