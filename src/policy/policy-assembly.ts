import type { WorkerType } from "../util/worker-type.ts";
import type { KeptPolicy, SignalOwner } from "./kept-policy.ts";
import type { Chosen, PolicyChooser, PolicyConfig } from "./policy-choice.ts";
import type { PolicyMemory } from "./policy-memory.ts";
import type { PolicyParts } from "./policy.ts";
import { SessionAffinity } from "./session-affinity.ts";
import { SHADOW_PARTS, type ShadowEvents, withShadow } from "./shadows.ts";
import { SignalCounts, type SignalNews } from "./signal-counts.ts";

/** Whose policy it is. */
interface Owner {
  /** Empty for requests without a model. */
  readonly model: string;
  readonly role: WorkerType;
}

/** The policy of a model with the parts that it is made of. */
export interface ModelPolicy extends Owner {
  readonly chosen: Chosen;
  /** The policy itself; the same object as `policy` where it has no shadow. */
  readonly real: KeptPolicy;
  /** What requests ask. */
  readonly policy: KeptPolicy;
}

export interface PolicyAssemblyDeps extends Omit<PolicyParts, "memory" | "gateway" | "tell"> {
  readonly chooser: PolicyChooser;
  /** Memory that the policies of all threads share. */
  readonly memory: PolicyMemory;
  /** Is told when a policy begins to lack one of its signals, and when the signal is there again. */
  readonly onSignal: (of: SignalOwner, news: SignalNews) => void;
  readonly shadowEvents: ShadowEvents;
}

/** Parts of a policy's key in the shared memory: the policy's own, its sessions, its signals, its shadow's. */
const OWN = "";
const SESSIONS = "\u0000sessions";
const SIGNALS = "\u0000signals";
const PARTS = [OWN, SESSIONS, SIGNALS, ...SHADOW_PARTS] as const;
type Part = (typeof PARTS)[number];

/**
 * Puts the policies of models together: the policy itself, the sessions and the signals that are kept for it, and its shadow. When the
 * configuration changes, each part that is made of the same as before goes over to the new one.
 */
export class PolicyAssembly {
  readonly #deps: PolicyAssemblyDeps;

  constructor(deps: PolicyAssemblyDeps) {
    this.#deps = deps;
  }

  /** Throws invalid_request if a policy is unknown, or has a wrong option. */
  make(owner: Owner, chosen: Chosen): ModelPolicy {
    return this.#put(owner, chosen, undefined);
  }

  /** The policy of the same model after a change of the configuration. `isOwner`: this thread allocates the memory that policies share. */
  remake(before: ModelPolicy, chosen: Chosen, isOwner: boolean): ModelPolicy {
    if (isOwner) for (const part of this.#lostParts(before.chosen, chosen)) this.#drop(before, part);
    return this.#put(before, chosen, before);
  }

  /** Drops the memory of a policy that is gone. */
  drop(owner: Owner): void {
    for (const part of PARTS) this.#drop(owner, part);
  }

  #put({ model, role }: Owner, chosen: Chosen, before: ModelPolicy | undefined): ModelPolicy {
    const owner = { model, role };
    const [is, was] = [chosen.madeOf, before?.chosen.madeOf];
    const isSame = is.policy === was?.policy;
    const real = before && isSame ? before.real : this.#create(owner, chosen.config, OWN);
    const policy = before && isSame && is.shadow === was.shadow ? before.policy : this.#shadowed(owner, real, chosen);
    const isSameName = chosen.config.policy === before?.chosen.config.policy;
    policy.signals = isSameName ? before.policy.signals : this.#signals(owner, chosen, policy.name);
    const affinity = is.sessions === was?.sessions ? before?.policy.affinity : undefined;
    policy.affinity = policy.sessions ? undefined : (affinity ?? this.#affinity(owner, chosen));
    return { ...owner, chosen, real, policy };
  }

  #shadowed(owner: Owner, real: KeptPolicy, { shadow }: Chosen): KeptPolicy {
    if (!shadow) return real;
    const parts = { real, model: owner.model, shadow, events: this.#deps.shadowEvents };
    return withShadow(parts, (config, part) => this.#create(owner, config, part));
  }

  #create(owner: Owner, config: PolicyConfig, part: Part): KeptPolicy {
    const { chooser } = this.#deps;
    return chooser.makerOf(config.policy).create(chooser.optionsOf(config), this.#parts(owner, part));
  }

  #affinity(owner: Owner, { sessions }: Chosen): SessionAffinity | undefined {
    return sessions && new SessionAffinity(sessions, this.#parts(owner, SESSIONS));
  }

  #signals({ model, role }: Owner, { config }: Chosen, policy: string): SignalCounts | undefined {
    const { signals } = this.#deps.chooser.makerOf(config.policy);
    if (!signals) return undefined;
    const tell = (news: SignalNews): void =>
      this.#deps.onSignal({ model, role, policy, without: signals[news.signal] ?? "" }, news);
    return new SignalCounts(signals, { ...this.#parts({ model, role }, SIGNALS), tell });
  }

  #parts({ model, role }: Owner, part: Part): PolicyParts {
    const { random, now, thread, threads, memory } = this.#deps;
    const key = keyOf(model, role) + part;
    return { random, now, thread, threads, memory: (bytes) => memory.get(key, bytes) };
  }

  /** The parts whose memory is about nothing that is still there. */
  #lostParts({ config: was, madeOf: before }: Chosen, { config, madeOf }: Chosen): Part[] {
    const lost: Part[] = [];
    const isSameName = config.policy === was.policy;
    const keepsMemory = isSameName && this.#deps.chooser.makerOf(config.policy).keepsMemory === true;
    if (madeOf.policy !== before.policy && !keepsMemory) lost.push(OWN);
    // Sessions know nothing of the policy behind them.
    if (madeOf.sessions === "") lost.push(SESSIONS);
    if (!isSameName) lost.push(SIGNALS);
    if (madeOf.policy !== before.policy || madeOf.shadow !== before.shadow) lost.push(...SHADOW_PARTS);
    return lost;
  }

  #drop({ model, role }: Owner, part: Part): void {
    this.#deps.memory.drop(keyOf(model, role) + part);
  }
}

/** The key of a policy. A model with one role uses its own name as key, so that a request builds no string. */
export function keyOf(model: string, role: WorkerType): string {
  return role === "regular" ? model : `${model}\u0000${role}`;
}
