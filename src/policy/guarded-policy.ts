import { GatewayError } from "../errors/errors.ts";
import { explainedCosts } from "./explained-costs.ts";
import type { ModulePolicy } from "./policy-module.ts";
import type { Candidate, Explanation, PickEnd, Picked, Policy, RequestFeatures } from "./policy.ts";

/** The methods of an operator's policy. */
export const POLICY_METHODS = [
  ...["pick", "select", "costs", "explain"],
  ...["onFirstToken", "onEnd", "forget", "cacheNews"],
] as const;
export type PolicyMethod = (typeof POLICY_METHODS)[number];

/** Gets the running method, so that another thread can say where this one hangs. */
export interface PolicyWatch {
  enter(method: PolicyMethod): void;
  leave(): void;
}

/** A fault of the operator's policy, for the log. */
export interface PolicyFault {
  readonly policy: string;
  /** One sentence: what the policy did, and what it should have done. */
  readonly what: string;
  /** The stack of the error, if it has one. */
  readonly stack: string | undefined;
  /** The policy may do so, but it looks like an outage. */
  readonly mayBeMeant?: true;
}

/** Parts for guarding a module's policy. */
export interface GuardDeps {
  readonly name: string;
  readonly create: () => ModulePolicy;
  readonly onFault: (fault: PolicyFault) => void;
  readonly watch?: PolicyWatch | undefined;
}

/** Most tokens that one request may be charged. With more, the counts of a busy worker could overflow 32 bits. */
const MAX_CHARGE_TOKENS = 16_777_216;

/**
 * Wraps a policy that the operator wrote. It logs the policy's faults under the policy's name. If the policy chooses no existing
 * candidate, the request is refused with policy_failed: another worker could break the rule that the policy enforces. A fault in a
 * hook is logged, and the request goes on.
 */
export class GuardedPolicy implements Policy {
  readonly name: string;
  readonly #guard: Guard;
  /** undefined if `create()` failed; then every request is refused. */
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
      // The policy may do so, but the result looks like an outage, so it is logged.
      if (chosen < 0) guard.say(`${method}() chose none of ${candidates.length} workers`, { mayBeMeant: true });
      return chosen;
    }
    guard.refuse(method, chosen, wantedOf(method, candidates.length));
    throw failed();
  }

  /** Empty if the module's policy gives no costs, or invalid ones. */
  costs(candidates: readonly Candidate[], request: RequestFeatures): readonly number[] {
    const inner = this.#inner;
    if (!inner || !("costs" in inner) || !inner.costs) return [];
    const costs = this.#guard.run("costs", () => inner.costs?.(candidates, request));
    if (isNumbers(costs, candidates.length)) return costs;
    if (costs !== undefined) this.#guard.refuse("costs", costs, `${candidates.length} numbers`);
    return [];
  }

  /** Its costs without terms if the module's policy does not explain, or wrongly. */
  explain(candidates: readonly Candidate[], request: RequestFeatures): readonly Explanation[] {
    const inner = this.#inner;
    if (inner && "explain" in inner && inner.explain) {
      const explained = this.#guard.run("explain", () => inner.explain?.(candidates, request));
      if (areExplanations(explained, candidates.length)) return explained;
      if (explained !== undefined) this.#guard.refuse("explain", explained, EXPLANATIONS_WANTED);
    }
    return explainedCosts(this.costs(candidates, request));
  }

  get costUnit(): "s" | undefined {
    const inner = this.#inner;
    return inner && "costUnit" in inner && inner.costUnit === "s" ? "s" : undefined;
  }

  forget(workerId: string, slot: number): void {
    const inner = this.#inner;
    if (inner?.forget) this.#guard.run("forget", () => inner.forget?.(workerId, slot));
  }

  /** Undefined where the module's policy takes no news: then nobody follows caches for it. */
  get cacheNews(): Policy["cacheNews"] {
    const inner = this.#inner;
    if (!inner || !("cacheNews" in inner) || !inner.cacheNews) return undefined;
    return (slot, news) => void this.#guard.run("cacheNews", () => inner.cacheNews?.(slot, news));
  }
}

/** A choice whose hooks cannot harm the request. */
class GuardedPick implements Picked {
  readonly index: number;
  readonly chargeTokens: number | undefined;
  readonly contextTokens: number | undefined;
  readonly predictedTtftMs: number | undefined;
  readonly predictedCachedTokens: number | undefined;
  readonly #inner: Picked;
  readonly #guard: Guard;

  constructor(inner: Picked, guard: Guard) {
    this.index = inner.index;
    this.chargeTokens = inner.chargeTokens;
    this.contextTokens = inner.contextTokens;
    this.predictedTtftMs = inner.predictedTtftMs;
    this.predictedCachedTokens = inner.predictedCachedTokens;
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

/** Runs the operator's code, and logs its faults. */
class Guard {
  readonly watch: PolicyWatch | undefined;
  readonly #policy: string;
  readonly #onFault: (fault: PolicyFault) => void;

  constructor(policy: string, onFault: (fault: PolicyFault) => void, watch: PolicyWatch | undefined) {
    this.#policy = policy;
    this.#onFault = onFault;
    this.watch = watch;
  }

  /** The result of `work`; undefined if it throws or returns a Promise, which is logged and not awaited. */
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

  say(what: string, more: Pick<PolicyFault, "mayBeMeant"> = {}): void {
    this.#onFault({ policy: this.#policy, what, stack: undefined, ...more });
  }

  refuse(method: PolicyMethod, value: unknown, wanted: string): void {
    let returned = shown(value);
    if (isThenable(value)) {
      // An unhandled rejection would end the process.
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
    (!("contextTokens" in value) || isCharge(value.contextTokens)) &&
    (!("predictedTtftMs" in value) || isExpected(value.predictedTtftMs)) &&
    (!("predictedCachedTokens" in value) || isExpected(value.predictedCachedTokens)) &&
    (!("onFirstToken" in value) || isHook(value.onFirstToken)) &&
    (!("onEnd" in value) || isHook(value.onEnd))
  );
}

function isCharge(value: unknown): boolean {
  return value === undefined || isIndex(value, 0, MAX_CHARGE_TOKENS + 1);
}

function isExpected(value: unknown): boolean {
  return value === undefined || (typeof value === "number" && value >= 0 && value < Number.POSITIVE_INFINITY);
}

const EXPLANATIONS_WANTED =
  "a list with the index, the cost and the terms of a candidate in each entry, all of them numbers";

function areExplanations(value: unknown, count: number): value is readonly Explanation[] {
  return Array.isArray(value) && value.every((one) => isExplanation(one, count));
}

function isExplanation(value: unknown, count: number): value is Explanation {
  if (typeof value !== "object" || value === null) return false;
  if (!("index" in value) || !("cost" in value) || !("terms" in value)) return false;
  const { terms } = value;
  return (
    isIndex(value.index, 0, count) &&
    typeof value.cost === "number" &&
    typeof terms === "object" &&
    terms !== null &&
    Object.values(terms).every((term) => typeof term === "number") &&
    (!("predictedTtftMs" in value) || isExpected(value.predictedTtftMs)) &&
    (!("cachedTokens" in value) || isExpected(value.cachedTokens)) &&
    (!("inFlightTokens" in value) || isExpected(value.inFlightTokens))
  );
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
  return `${index}, or an object with such an index (chargeTokens and contextTokens whole numbers up to ${MAX_CHARGE_TOKENS}, predictions numbers from 0, hooks functions)`;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/** Longest printed value, characters. */
const MAX_SHOWN = 200;

function shown(value: unknown): string {
  if (value instanceof Error) return cut(`${value.name}: ${value.message}`);
  if (typeof value === "string") return cut(JSON.stringify(value));
  return typeof value === "object" && value !== null ? "an object" : cut(String(value));
}

function cut(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text;
}
