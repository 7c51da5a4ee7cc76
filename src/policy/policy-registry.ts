import type { WorkerType } from "../util/worker-type.ts";
import type { PolicyMaker } from "./define-policy.ts";
import type { KeptPolicy, SignalOwner } from "./kept-policy.ts";
import { keyOf, type ModelPolicy, PolicyAssembly } from "./policy-assembly.ts";
import { type PolicyChoice, PolicyChooser, type PolicyConfig, type PolicySource } from "./policy-choice.ts";
import type { CacheNews, PolicyParts } from "./policy.ts";
import { PolicyMemory } from "./policy-memory.ts";
import type { SessionTable } from "./session-table.ts";
import { NO_SHADOW_EVENTS, type ShadowEvents } from "./shadows.ts";
import type { DescribedSignal, SignalNews, SignalState } from "./signal-counts.ts";

export interface PolicyRegistryOptions extends Partial<PolicyChoice> {
  readonly defaultPolicy: PolicyConfig;
  /** Memory that the policies of all threads share; without it each policy has its own. */
  readonly memory?: PolicyMemory;
  /** Policies in addition to the built-in ones. */
  readonly custom?: readonly PolicyMaker[];
  readonly random?: PolicyParts["random"];
  readonly now?: PolicyParts["now"];
  /** Which of how many threads this registry is on; the only one by default. */
  readonly thread?: PolicyParts["thread"];
  readonly threads?: PolicyParts["threads"];
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

interface Assigned {
  /** The hint of the model's first worker. */
  readonly hint: string | undefined;
  made: ModelPolicy;
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
  readonly #chooser: PolicyChooser;
  readonly #assembly: PolicyAssembly;
  readonly #now: PolicyParts["now"];
  #default: ModelPolicy;
  /** Policies by model and role. */
  readonly #models = new Map<string, Assigned>();

  /** Throws invalid_request if a policy is unknown, or has a wrong option. */
  constructor(options: PolicyRegistryOptions) {
    this.#chooser = new PolicyChooser(
      { roleDefaults: {}, options: {}, sessions: undefined, patterns: [], shadows: [], ...options },
      options.custom ?? [],
    );
    this.#now = options.now ?? (() => performance.now());
    this.#assembly = new PolicyAssembly({
      chooser: this.#chooser,
      memory: options.memory ?? new PolicyMemory(),
      random: options.random ?? Math.random,
      now: this.#now,
      thread: options.thread ?? 0,
      threads: options.threads ?? 1,
      onSignal: options.onSignal ?? (() => undefined),
      shadowEvents: options.shadowEvents ?? NO_SHADOW_EVENTS,
    });
    this.#default = this.#assembly.make({ model: NO_MODEL, role: "regular" }, this.#chooser.ofNoModel());
  }

  /** Throws invalid_request if a policy of the choice is unknown, or has a wrong option. Changes nothing. */
  check(choice: PolicyChoice): void {
    this.#chooser.check(choice);
  }

  /**
   * Gives the models the policies of another choice. Each part of a model's policy that is as before is kept with all that it has learnt,
   * and so are its sessions while there are any; the others are made anew. A request in flight keeps the policy that chose its worker.
   * `isOwner`: this registry allocates the memory that policies share between threads; the others have got it already. Returns whether
   * any policy is new. Throws what `check` throws, and what a policy module throws.
   */
  replace(choice: PolicyChoice, isOwner: boolean): boolean {
    this.#chooser.replace(choice);
    const before = this.#default;
    this.#default = this.#assembly.remake(before, this.#chooser.ofNoModel(), isOwner);
    let hasNew = this.#default.policy !== before.policy;
    for (const assigned of this.#models.values()) {
      const { made, hint } = assigned;
      assigned.made = this.#assembly.remake(made, this.#chooser.of(made.model, hint, made.role), isOwner);
      hasNew ||= assigned.made.policy !== made.policy;
    }
    return hasNew;
  }

  /** Throws invalid_request if no policy has this name. */
  checkName(name: string): void {
    this.#chooser.makerOf(name);
  }

  /** Counts a new worker of the model. Returns the model's policy, which the first worker creates. */
  onWorkerAdded(model: string, hint?: string, role: WorkerType = "regular"): KeptPolicy {
    const key = keyOf(model, role);
    const known = this.#models.get(key);
    if (known) {
      known.workers += 1;
      return known.made.policy;
    }
    const made = this.#assembly.make({ model, role }, this.#chooser.of(model, hint, role));
    this.#models.set(key, { hint, made, workers: 1 });
    return made.policy;
  }

  /** Counts a worker of the model that has left. The last one drops the model's policy. */
  onWorkerRemoved(model: string, role: WorkerType = "regular"): void {
    const key = keyOf(model, role);
    const assigned = this.#models.get(key);
    if (!assigned) return;
    assigned.workers -= 1;
    if (assigned.workers > 0) return;
    this.#models.delete(key);
    this.#assembly.drop(assigned.made);
  }

  /** Makes the model's policy forget a worker. */
  forgetWorker(model: string, workerId: string, slot: number, role: WorkerType = "regular"): void {
    for (const policy of [this.getPolicy(model, role), this.#default.policy]) {
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
    const policy = model === undefined ? this.#default.policy : this.getPolicy(model, role);
    policy?.cacheNews?.(slot, news);
  }

  getPolicy(model: string, role: WorkerType = "regular"): KeptPolicy | undefined {
    return this.#models.get(keyOf(model, role))?.made.policy;
  }

  /** The policy for requests without a model. */
  getDefaultPolicy(): KeptPolicy {
    return this.#default.policy;
  }

  /** For `GET /policies`. */
  describe(): PolicyDescription {
    const { defaultPolicy, patterns } = this.#chooser.choice;
    return {
      default: { policy: defaultPolicy.policy, config: defaultPolicy.config },
      patterns: patterns.map(({ match, policy }) => ({ match, policy: policy.policy, config: policy.config })),
      models: [...this.#models]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(
          ([
            ,
            {
              made: { model, role, policy, chosen },
              workers,
            },
          ]) => ({
            model,
            ...(role === "regular" ? {} : { role }),
            policy: policy.name,
            source: chosen.source,
            ...(chosen.shadow ? { shadow: chosen.shadow.policy } : {}),
            workers,
            ...(policy.signals ? { signals: policy.signals.describe() } : {}),
          }),
        ),
    };
  }

  /** The sessions of each policy that remembers any; the model is empty for requests without one. */
  sessionTables(): readonly KeptSessions[] {
    const all = [...[...this.#models.values()].map(({ made }) => made), this.#default];
    return all.flatMap(({ model, role, policy: { affinity, sessions } }) => {
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
    for (const { made } of this.#models.values()) {
      const { model, role, policy } = made;
      for (const state of policy.signals?.states() ?? []) yield { ...state, model, role, policy: policy.name };
    }
  }
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
