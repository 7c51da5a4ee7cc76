import { GatewayError } from "../errors/errors.ts";
import type { Candidate, PickEnd, Picked, Policy, RequestFeatures } from "./policy.ts";

/** A policy as modules wrote it before there was `pick`: an index, and nothing more to say. */
export interface SelectingPolicy {
  /** Index of the chosen candidate, or -1 for none of them. */
  select(candidates: readonly Candidate[], request: RequestFeatures): number;
  forget?(workerId: string, slot: number): void;
}

/** What `create()` of a module may return. Where both are there, `pick` is asked. */
export type ModulePolicy = Omit<Policy, "name"> | SelectingPolicy;

/** What of an operator's code can run. */
export type PolicyMethod = "pick" | "select" | "costs" | "onFirstToken" | "onEnd" | "forget";

/** Is told which method runs, so that another thread can say where this one hangs. */
export interface PolicyWatch {
  enter(method: PolicyMethod): void;
  leave(): void;
}

/** What a policy of the operator's did wrong, for the log. */
export interface PolicyFault {
  readonly policy: string;
  /** One sentence: what it did, and what it should have done. */
  readonly what: string;
  /** Where it threw, as far as the error says. */
  readonly stack: string | undefined;
}

/** What a policy of a module is guarded with. */
export interface GuardDeps {
  readonly name: string;
  readonly create: () => ModulePolicy;
  readonly onFault: (fault: PolicyFault) => void;
  readonly watch?: PolicyWatch | undefined;
}

/** Most tokens that one request may be charged; beyond it the counts of a busy worker could overflow 32 bits. */
const MAX_CHARGE_TOKENS = 16_777_216;

/**
 * A policy that the operator wrote, in the form that the gateway knows. What it does wrong is said in its name. A request
 * for which it chooses nobody that exists is refused with policy_failed: sending it to a worker that the policy did not name
 * could break the rule that the policy is there for. What goes wrong in a hook is said, and the request goes on.
 */
export class GuardedPolicy implements Policy {
  readonly name: string;
  readonly #guard: Guard;
  /** Undefined where `create()` failed: then every request is refused. */
  readonly #inner: ModulePolicy | undefined;

  constructor({ name, create, onFault, watch }: GuardDeps) {
    this.name = name;
    this.#guard = new Guard(name, onFault, watch);
    try {
      this.#inner = create();
    } catch (error) {
      this.#guard.tell("create", error);
    }
  }

  /** Throws policy_failed. */
  pick(candidates: readonly Candidate[], request: RequestFeatures): number | Picked {
    const inner = this.#inner;
    if (!inner) throw failed();
    const guard = this.#guard;
    const method = "pick" in inner ? "pick" : "select";
    let chosen: unknown;
    guard.watch?.enter(method);
    try {
      chosen = "pick" in inner ? inner.pick(candidates, request) : inner.select(candidates, request);
      if (method === "pick" && isPicked(chosen, candidates.length)) return new GuardedPick(chosen, guard);
    } catch (error) {
      guard.tell(method, error);
      throw failed();
    } finally {
      guard.watch?.leave();
    }
    if (isIndex(chosen, -1, candidates.length)) {
      // It may, and what comes of it looks like an outage.
      if (chosen < 0) guard.say(`${method}() chose none of ${candidates.length} workers`);
      return chosen;
    }
    guard.refuse(method, chosen, wantedOf(method, candidates.length));
    throw failed();
  }

  /** Empty where the module's policy says nothing of costs, or nonsense. */
  costs(candidates: readonly Candidate[], request: RequestFeatures): readonly number[] {
    const inner = this.#inner;
    if (!inner || !("costs" in inner) || !inner.costs) return [];
    const costs = this.#guard.run("costs", () => inner.costs?.(candidates, request));
    if (isNumbers(costs, candidates.length)) return costs;
    if (costs !== undefined) this.#guard.refuse("costs", costs, `${candidates.length} numbers`);
    return [];
  }

  forget(workerId: string, slot: number): void {
    const inner = this.#inner;
    if (inner?.forget) this.#guard.run("forget", () => inner.forget?.(workerId, slot));
  }
}

/** A choice whose hooks cannot harm the request. */
class GuardedPick implements Picked {
  readonly index: number;
  readonly chargeTokens: number | undefined;
  readonly #inner: Picked;
  readonly #guard: Guard;

  constructor(inner: Picked, guard: Guard) {
    this.index = inner.index;
    this.chargeTokens = inner.chargeTokens;
    this.#inner = inner;
    this.#guard = guard;
  }

  onFirstToken(ms: number): void {
    this.#guard.run("onFirstToken", () => this.#inner.onFirstToken?.(ms));
  }

  onEnd(end: PickEnd): void {
    this.#guard.run("onEnd", () => this.#inner.onEnd?.(end));
  }
}

/** Runs what the operator wrote, and says what goes wrong in it. */
class Guard {
  readonly watch: PolicyWatch | undefined;
  readonly #policy: string;
  readonly #onFault: (fault: PolicyFault) => void;

  constructor(policy: string, onFault: (fault: PolicyFault) => void, watch: PolicyWatch | undefined) {
    this.#policy = policy;
    this.#onFault = onFault;
    this.watch = watch;
  }

  /** What it returns; undefined where it throws or returns a Promise, which is said and not waited for. */
  run(method: PolicyMethod, work: () => unknown): unknown {
    this.watch?.enter(method);
    try {
      const result = work();
      if (!isThenable(result)) return result;
      this.refuse(method, result, "at once");
    } catch (error) {
      this.tell(method, error);
    } finally {
      this.watch?.leave();
    }
    return undefined;
  }

  say(what: string): void {
    this.#onFault({ policy: this.#policy, what, stack: undefined });
  }

  refuse(method: PolicyMethod, value: unknown, wanted: string): void {
    let returned = shown(value);
    if (isThenable(value)) {
      // A promise that nobody waits for would end the process if it were rejected.
      value.then(undefined, () => undefined);
      returned = `a Promise (${method}() is called synchronously)`;
    }
    this.say(`${method}() returned ${returned} and should return ${wanted}`);
  }

  tell(method: PolicyMethod | "create", error: unknown): void {
    const stack = error instanceof Error ? error.stack : undefined;
    this.#onFault({ policy: this.#policy, what: `${method}() threw ${shown(error)}`, stack });
  }
}

function failed(): GatewayError {
  return new GatewayError("policy_failed", "the routing policy of this model failed on this request");
}

function isIndex(value: unknown, from: number, below: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= from && value < below;
}

function isPicked(value: unknown, count: number): value is Picked {
  if (typeof value !== "object" || value === null) return false;
  return (
    "index" in value &&
    isIndex(value.index, 0, count) &&
    (!("chargeTokens" in value) || isCharge(value.chargeTokens)) &&
    (!("onFirstToken" in value) || isHook(value.onFirstToken)) &&
    (!("onEnd" in value) || isHook(value.onEnd))
  );
}

function isCharge(value: unknown): boolean {
  return value === undefined || isIndex(value, 0, MAX_CHARGE_TOKENS + 1);
}

function isHook(value: unknown): boolean {
  return value === undefined || typeof value === "function";
}

function isNumbers(value: unknown, count: number): value is readonly number[] {
  return Array.isArray(value) && value.length === count && value.every((one) => typeof one === "number");
}

function wantedOf(method: PolicyMethod, count: number): string {
  const index = `an index from 0 to ${count - 1}, or -1 for none`;
  if (method === "select") return index;
  return `${index}, or an object with such an index (chargeTokens a whole number up to ${MAX_CHARGE_TOKENS}, hooks functions)`;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/** Longest value that is printed. */
const MAX_SHOWN = 200;

function shown(value: unknown): string {
  if (value instanceof Error) return cut(`${value.name}: ${value.message}`);
  if (typeof value === "string") return cut(JSON.stringify(value));
  return typeof value === "object" && value !== null ? "an object" : cut(String(value));
}

function cut(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text;
}
