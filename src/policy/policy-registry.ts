import { GatewayError } from "../errors/errors.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { PolicyMaker, PolicyOptions } from "./define-policy.ts";
import { matchesGlob } from "./glob.ts";
import { POLICIES } from "./policies.ts";
import type { KeptPolicy, SignalOwner } from "./kept-policy.ts";
import type { CacheNews, PolicyParts } from "./policy.ts";
import { PolicyMemory } from "./policy-memory.ts";
import { SessionAffinity, type SessionAffinityOptions } from "./session-affinity.ts";
import type { SessionTable } from "./session-table.ts";
import { SHADOW_PARTS, type ShadowEvents, Shadows } from "./shadows.ts";
import { type DescribedSignal, SignalCounts, type SignalNews, type SignalState } from "./signal-counts.ts";

/** A policy's name, with the options that differ from the gateway's. */
export interface PolicyConfig {
  readonly policy: string;
  readonly config: PolicyOptions;
}

export interface PolicyRegistryOptions {
  readonly defaultPolicy: PolicyConfig;
  /** Defaults for the roles prefill and decode, where they differ. */
  readonly roleDefaults?: Partial<Readonly<Record<Exclude<WorkerType, "regular">, PolicyConfig>>>;
  /** By policy: its options where no pattern sets them. */
  readonly options?: Readonly<Record<string, PolicyOptions>>;
  /** Memory that the policies of all threads share; without it each policy has its own. */
  readonly memory?: PolicyMemory;
  /** Policies in addition to the built-in ones. */
  readonly custom?: readonly PolicyMaker[];
  readonly random?: PolicyParts["random"];
  readonly now?: PolicyParts["now"];
  /** Which of how many threads this registry is on; the only one by default. */
  readonly thread?: PolicyParts["thread"];
  readonly threads?: PolicyParts["threads"];
  /** Sessions stay on their workers with any policy; undefined where only the policy decides. */
  readonly sessions?: SessionAffinityOptions | undefined;
  /** Is told when a policy begins to lack one of its signals, and when the signal is there again. */
  readonly onSignal?: ((of: SignalOwner, news: SignalNews) => void) | undefined;
  readonly shadowEvents?: ShadowEvents | undefined;
}

/** The sessions that one policy remembers. */
export interface KeptSessions {
  readonly model: string;
  readonly role: WorkerType;
  readonly table: SessionTable;
  /** How many there are; it looks at all of them. */
  readonly size: () => number;
}

/** Why a model has its policy. */
export type PolicySource = "hint" | "pattern" | "default";

interface Assigned {
  readonly model: string;
  readonly role: WorkerType;
  readonly policy: KeptPolicy;
  readonly source: PolicySource;
  /** The policy that is evaluated beside it. */
  readonly shadow: PolicyConfig | undefined;
  workers: number;
}

/** Stands for requests without a model; no model's id is empty. */
const NO_MODEL = "";

/**
 * The policy of each model, and of each role where prefill and decode are apart. Each model has its own instance, made with its first
 * worker and dropped with its last. The hint of that first worker comes before the first matching pattern, and the pattern before the
 * default.
 */
export class PolicyRegistry {
  readonly #makers = new Map<string, PolicyMaker>();
  readonly #options: Readonly<Record<string, PolicyOptions>>;
  readonly #defaultConfig: PolicyConfig;
  readonly #default: KeptPolicy;
  readonly #patterns: { readonly match: string; readonly config: PolicyConfig }[] = [];
  readonly #roleDefaults: NonNullable<PolicyRegistryOptions["roleDefaults"]>;
  /** Policies by model and role. */
  readonly #models = new Map<string, Assigned>();
  readonly #memory: PolicyMemory;
  readonly #random: PolicyParts["random"];
  readonly #now: PolicyParts["now"];
  readonly #thread: number;
  readonly #threads: number;
  readonly #sessions: SessionAffinityOptions | undefined;
  readonly #onSignal: NonNullable<PolicyRegistryOptions["onSignal"]>;
  readonly #shadows: Shadows<PolicyConfig>;

  /** Throws invalid_request if a default policy is unknown, or has a wrong option. */
  constructor(options: PolicyRegistryOptions) {
    for (const maker of [...POLICIES, ...(options.custom ?? [])]) this.#makers.set(maker.name, maker);
    this.#options = options.options ?? {};
    this.#memory = options.memory ?? new PolicyMemory();
    this.#random = options.random ?? Math.random;
    this.#now = options.now ?? (() => performance.now());
    this.#thread = options.thread ?? 0;
    this.#threads = options.threads ?? 1;
    this.#sessions = options.sessions;
    this.#onSignal = options.onSignal ?? (() => undefined);
    this.#shadows = new Shadows(options.shadowEvents);
    this.#defaultConfig = options.defaultPolicy;
    this.#roleDefaults = options.roleDefaults ?? {};
    for (const { policy } of Object.values(this.#roleDefaults)) this.checkName(policy);
    this.#default = this.#create(options.defaultPolicy, NO_MODEL, "regular");
  }

  /**
   * Gives models whose id matches the glob this policy; the first match counts. Throws invalid_request if the policy or one of its
   * options is unknown.
   */
  registerPattern(match: string, config: PolicyConfig): void {
    this.#maker(config.policy).check(this.#optionsOf(config));
    this.#patterns.push({ match, config });
  }

  /** Evaluates a policy beside those of the models whose id matches the glob. Throws as `registerPattern` does. */
  registerShadow(match: string, config: PolicyConfig): void {
    this.#maker(config.policy).check(this.#optionsOf(config));
    this.#shadows.register(match, config);
  }

  /** Throws invalid_request if no policy has this name. */
  checkName(name: string): void {
    this.#maker(name);
  }

  #maker(name: string): PolicyMaker {
    const maker = this.#makers.get(name);
    if (maker) return maker;
    const known = [...this.#makers.keys()].join(", ");
    throw new GatewayError("invalid_request", `unknown policy ${JSON.stringify(name)}; the policies are ${known}`, {
      param: "policy",
    });
  }

  /** Counts a new worker of the model. Returns the model's policy, which the first worker creates. */
  onWorkerAdded(model: string, hint?: string, role: WorkerType = "regular"): KeptPolicy {
    const key = keyOf(model, role);
    const known = this.#models.get(key);
    if (known) {
      known.workers += 1;
      return known.policy;
    }
    const { config, source } = this.#choose(model, hint, role);
    // The policies of prefill and decode workers may choose both at once, so they have no shadows.
    const shadow = role === "regular" ? this.#shadows.of(model) : undefined;
    const policy = this.#create(config, model, role, shadow);
    this.#models.set(key, { model, role, policy, source, shadow, workers: 1 });
    return policy;
  }

  /** Counts a worker of the model that has left. The last one drops the model's policy. */
  onWorkerRemoved(model: string, role: WorkerType = "regular"): void {
    const key = keyOf(model, role);
    const assigned = this.#models.get(key);
    if (!assigned) return;
    assigned.workers -= 1;
    if (assigned.workers > 0) return;
    this.#models.delete(key);
    for (const part of PARTS) this.#memory.drop(key + part);
  }

  /** Makes the model's policy forget a worker. */
  forgetWorker(model: string, workerId: string, slot: number, role: WorkerType = "regular"): void {
    for (const policy of [this.#models.get(keyOf(model, role))?.policy, this.#default]) {
      policy?.affinity?.forget(slot);
      policy?.forget?.(workerId, slot);
    }
  }

  /** Whether the policy of this model takes news of what caches hold. */
  takesCacheNews(model: string, role: WorkerType): boolean {
    return this.getPolicy(model, role)?.cacheNews !== undefined;
  }

  /** Tells the model's policy news of a worker's cache; without a model, the policy of requests that name none. */
  cacheNews(model: string | undefined, role: WorkerType, slot: number, news: CacheNews): void {
    const policy = model === undefined ? this.#default : this.getPolicy(model, role);
    policy?.cacheNews?.(slot, news);
  }

  getPolicy(model: string, role: WorkerType = "regular"): KeptPolicy | undefined {
    return this.#models.get(keyOf(model, role))?.policy;
  }

  /** The policy for requests without a model. */
  getDefaultPolicy(): KeptPolicy {
    return this.#default;
  }

  /** For `GET /policies`. */
  describe(): PolicyDescription {
    return {
      default: { policy: this.#defaultConfig.policy, config: this.#defaultConfig.config },
      patterns: this.#patterns.map(({ match, config }) => ({ match, policy: config.policy, config: config.config })),
      models: [...this.#models]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, { model, role, policy, source, shadow, workers }]) => ({
          model,
          ...(role === "regular" ? {} : { role }),
          policy: policy.name,
          source,
          ...(shadow ? { shadow: shadow.policy } : {}),
          workers,
          ...(policy.signals ? { signals: policy.signals.describe() } : {}),
        })),
    };
  }

  /** The sessions of each policy that remembers any; the model is empty for requests without one. */
  sessionTables(): readonly KeptSessions[] {
    const assigned = [...this.#models.values(), { model: NO_MODEL, role: "regular" as const, policy: this.#default }];
    return assigned.flatMap(({ model, role, policy: { affinity, sessions } }) => {
      const table = affinity?.table ?? sessions;
      return table ? { model, role, table, size: () => table.size(this.#now()) } : [];
    });
  }

  /** Forgets a session in every policy. Returns whether one knew it. */
  finishSession(key: string): boolean {
    let wasKnown = false;
    for (const { table } of this.sessionTables()) wasKnown = table.finish(key, this.#now()) || wasKnown;
    return wasKnown;
  }

  /** How it stands with the signals of each policy that uses any. */
  *signals(): Generator<SignalState & Pick<SignalOwner, "model" | "role" | "policy">, void, void> {
    for (const { model, role, policy } of this.#models.values()) {
      for (const state of policy.signals?.states() ?? []) yield { ...state, model, role, policy: policy.name };
    }
  }

  #choose(model: string, hint: string | undefined, role: WorkerType): { config: PolicyConfig; source: PolicySource } {
    if (hint !== undefined) return { config: { policy: hint, config: {} }, source: "hint" };
    const pattern = this.#patterns.find(({ match }) => matchesGlob(match, model));
    if (pattern) return { config: pattern.config, source: "pattern" };
    const config = role === "regular" ? this.#defaultConfig : (this.#roleDefaults[role] ?? this.#defaultConfig);
    return { config, source: "default" };
  }

  #optionsOf({ policy, config }: PolicyConfig): PolicyOptions {
    return { ...this.#options[policy], ...config };
  }

  #create(config: PolicyConfig, model: string, role: WorkerType, shadow?: PolicyConfig): KeptPolicy {
    const key = keyOf(model, role);
    const parts = {
      random: this.#random,
      now: this.#now,
      thread: this.#thread,
      threads: this.#threads,
    };
    const memory = (part: (typeof PARTS)[number]) => (bytes: number) => this.#memory.get(key + part, bytes);
    const make = (made: PolicyConfig, part: (typeof PARTS)[number]): KeptPolicy =>
      this.#maker(made.policy).create(this.#optionsOf(made), { ...parts, memory: memory(part) });
    const real = make(config, "");
    const policy = shadow ? this.#shadows.beside(real, model, shadow, make) : real;
    if (this.#sessions && !policy.sessions) {
      policy.affinity = new SessionAffinity(this.#sessions, { ...parts, memory: memory(SESSIONS) });
    }
    const { signals } = this.#maker(config.policy);
    if (signals) {
      const tell = (news: SignalNews): void =>
        this.#onSignal({ model, role, policy: policy.name, without: signals[news.signal] ?? "" }, news);
      policy.signals = new SignalCounts(signals, memory(SIGNALS_PART), this.#now, tell);
    }
    return policy;
  }
}

/** Parts of a policy's key in the shared memory: the policy's own, its sessions, its signals, its shadow's. */
const SESSIONS = "\u0000sessions";
const SIGNALS_PART = "\u0000signals";
const PARTS = ["", SESSIONS, SIGNALS_PART, ...SHADOW_PARTS] as const;

/** The key of a policy. A model with one role uses its own name as key, so that a request builds no string. */
function keyOf(model: string, role: WorkerType): string {
  return role === "regular" ? model : `${model}\u0000${role}`;
}

/** The policies of all models, for `GET /policies`. */
export interface PolicyDescription {
  readonly default: PolicyConfig;
  readonly patterns: readonly (PolicyConfig & { readonly match: string })[];
  readonly models: readonly {
    readonly model: string;
    /** Where prefill and decode are apart. */
    readonly role?: WorkerType;
    readonly policy: string;
    readonly source: PolicySource;
    readonly shadow?: string;
    readonly workers: number;
    /** What the policy needs to choose well, and how often it was there. */
    readonly signals?: readonly DescribedSignal[];
  }[];
}
