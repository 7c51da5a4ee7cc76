import type { WorkerType } from "../util/worker-type.ts";
import type { PolicyMaker } from "./define-policy.ts";
import type { KeptPolicy, SignalOwner } from "./kept-policy.ts";
import {
  type Chosen,
  type PolicyChoice,
  PolicyChooser,
  type PolicyConfig,
  type PolicySource,
} from "./policy-choice.ts";
import type { CacheNews, PolicyParts } from "./policy.ts";
import { PolicyMemory } from "./policy-memory.ts";
import { SessionAffinity } from "./session-affinity.ts";
import type { SessionTable } from "./session-table.ts";
import { NO_SHADOW_EVENTS, SHADOW_PARTS, type ShadowEvents, withShadow } from "./shadows.ts";
import { type DescribedSignal, SignalCounts, type SignalNews, type SignalState } from "./signal-counts.ts";

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
  readonly model: string;
  readonly role: WorkerType;
  /** The hint of the model's first worker. */
  readonly hint: string | undefined;
  chosen: Chosen;
  policy: KeptPolicy;
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
  #chosenDefault: Chosen;
  #default: KeptPolicy;
  /** Policies by model and role. */
  readonly #models = new Map<string, Assigned>();
  readonly #memory: PolicyMemory;
  readonly #random: PolicyParts["random"];
  readonly #now: PolicyParts["now"];
  readonly #thread: number;
  readonly #threads: number;
  readonly #onSignal: NonNullable<PolicyRegistryOptions["onSignal"]>;
  readonly #shadowEvents: ShadowEvents;

  /** Throws invalid_request if a policy is unknown, or has a wrong option. */
  constructor(options: PolicyRegistryOptions) {
    this.#chooser = new PolicyChooser(
      { roleDefaults: {}, options: {}, sessions: undefined, patterns: [], shadows: [], ...options },
      options.custom ?? [],
    );
    this.#memory = options.memory ?? new PolicyMemory();
    this.#random = options.random ?? Math.random;
    this.#now = options.now ?? (() => performance.now());
    this.#thread = options.thread ?? 0;
    this.#threads = options.threads ?? 1;
    this.#onSignal = options.onSignal ?? (() => undefined);
    this.#shadowEvents = options.shadowEvents ?? NO_SHADOW_EVENTS;
    this.#chosenDefault = this.#chooser.ofNoModel();
    this.#default = this.#create(this.#chosenDefault, NO_MODEL, "regular");
  }

  /** Throws invalid_request if a policy of the choice is unknown, or has a wrong option. Changes nothing. */
  check(choice: PolicyChoice): void {
    this.#chooser.check(choice);
  }

  /**
   * Gives the models the policies of another choice. A model whose policy, options, shadow and sessions are as before keeps its policy
   * with all that it has learnt; the others get a new one. A request in flight keeps the policy that chose its worker.
   * `isOwner`: this registry allocates the memory that policies share between threads; the others have got it already. Returns whether
   * any policy is new. Throws what `check` throws, and what a policy module throws.
   */
  replace(choice: PolicyChoice, isOwner: boolean): boolean {
    this.#chooser.replace(choice);
    let hasNew = false;
    const chosen = this.#chooser.ofNoModel();
    if (chosen.made !== this.#chosenDefault.made) {
      if (isOwner) this.#dropMemory(NO_MODEL);
      this.#default = this.#create(chosen, NO_MODEL, "regular");
      hasNew = true;
    }
    this.#chosenDefault = chosen;
    for (const assigned of this.#models.values()) hasNew = this.#assignAnew(assigned, isOwner) || hasNew;
    return hasNew;
  }

  /** Returns whether the model has a new policy. */
  #assignAnew(assigned: Assigned, isOwner: boolean): boolean {
    const { model, role, hint, chosen: before } = assigned;
    const chosen = this.#chooser.of(model, hint, role);
    if (chosen.made === before.made) {
      assigned.chosen = chosen;
      return false;
    }
    if (isOwner) this.#dropMemory(keyOf(model, role));
    assigned.policy = this.#create(chosen, model, role);
    assigned.chosen = chosen;
    return true;
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
      return known.policy;
    }
    const chosen = this.#chooser.of(model, hint, role);
    const policy = this.#create(chosen, model, role);
    this.#models.set(key, { model, role, hint, chosen, policy, workers: 1 });
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
    this.#dropMemory(key);
  }

  #dropMemory(key: string): void {
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
    const { defaultPolicy, patterns } = this.#chooser.choice;
    return {
      default: { policy: defaultPolicy.policy, config: defaultPolicy.config },
      patterns: patterns.map(({ match, policy }) => ({ match, policy: policy.policy, config: policy.config })),
      models: [...this.#models]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, { model, role, policy, chosen, workers }]) => ({
          model,
          ...(role === "regular" ? {} : { role }),
          policy: policy.name,
          source: chosen.source,
          ...(chosen.shadow ? { shadow: chosen.shadow.policy } : {}),
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

  #create({ config, shadow }: Chosen, model: string, role: WorkerType): KeptPolicy {
    const key = keyOf(model, role);
    const parts = {
      random: this.#random,
      now: this.#now,
      thread: this.#thread,
      threads: this.#threads,
    };
    const memory = (part: (typeof PARTS)[number]) => (bytes: number) => this.#memory.get(key + part, bytes);
    const make = (made: PolicyConfig, part: (typeof PARTS)[number]): KeptPolicy =>
      this.#chooser.makerOf(made.policy).create(this.#chooser.optionsOf(made), { ...parts, memory: memory(part) });
    const real = make(config, "");
    const policy = shadow ? withShadow({ real, model, shadow, events: this.#shadowEvents }, make) : real;
    const { sessions } = this.#chooser.choice;
    if (sessions && !policy.sessions) {
      policy.affinity = new SessionAffinity(sessions, { ...parts, memory: memory(SESSIONS) });
    }
    const { signals } = this.#chooser.makerOf(config.policy);
    if (signals) {
      const tell = (news: SignalNews): void =>
        this.#onSignal({ model, role, policy: policy.name, without: signals[news.signal] ?? "" }, news);
      policy.signals = new SignalCounts(signals, { ...parts, memory: memory(SIGNALS_PART), tell });
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
