import { GatewayError } from "../errors/errors.ts";
import type { Candidate, Policy, RequestFeatures } from "./policy.ts";

/** What a policy of the operator's did wrong, for the log. */
export interface PolicyFault {
  readonly policy: string;
  /** One sentence: what it did, and what it should have done. */
  readonly what: string;
  /** Where it threw, as far as the error says. */
  readonly stack: string | undefined;
}

export interface GuardDeps {
  readonly name: string;
  readonly create: () => Policy;
  readonly onFault: (fault: PolicyFault) => void;
}

/**
 * A policy that the operator wrote, so that what it does wrong is said in its name. A request for which it chooses
 * nobody that exists is refused with policy_failed: sending it to a worker that the policy did not name could break the
 * rule that the policy is there for.
 */
export class GuardedPolicy implements Policy {
  readonly name: string;
  readonly #onFault: (fault: PolicyFault) => void;
  /** Undefined where `create()` failed: then every request is refused. */
  readonly #inner: Policy | undefined;

  constructor({ name, create, onFault }: GuardDeps) {
    this.name = name;
    this.#onFault = onFault;
    this.#inner = this.#try("create()", create);
  }

  /** Throws policy_failed. */
  select(candidates: readonly Candidate[], request: RequestFeatures): number {
    const inner = this.#inner;
    if (!inner) throw failed();
    let chosen: unknown;
    try {
      chosen = inner.select(candidates, request);
    } catch (error) {
      this.#tell("select()", error);
      throw failed();
    }
    if (typeof chosen === "number" && Number.isInteger(chosen) && chosen >= -1 && chosen < candidates.length) {
      // It may, and what comes of it looks like an outage.
      if (chosen < 0) this.#say(`select() chose none of ${candidates.length} workers`);
      return chosen;
    }
    // A promise that nobody waits for would end the process if it were rejected.
    if (isThenable(chosen)) chosen.then(undefined, () => undefined);
    const wanted = `an index from 0 to ${candidates.length - 1}, or -1 for none`;
    this.#say(`select() returned ${shown(chosen)} and should return ${wanted}`);
    throw failed();
  }

  forget(workerId: string, slot: number): void {
    this.#try("forget()", () => this.#inner?.forget?.(workerId, slot));
  }

  #say(what: string): void {
    this.#onFault({ policy: this.name, what, stack: undefined });
  }

  #try<T>(call: string, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#tell(call, error);
      return undefined;
    }
  }

  #tell(call: string, error: unknown): void {
    const stack = error instanceof Error ? error.stack : undefined;
    this.#onFault({ policy: this.name, what: `${call} threw ${shown(error)}`, stack });
  }
}

function failed(): GatewayError {
  return new GatewayError("policy_failed", "the routing policy of this model failed on this request");
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/** Longest value that is printed. */
const MAX_SHOWN = 200;

function shown(value: unknown): string {
  if (isThenable(value)) return "a Promise (select() is called synchronously)";
  if (value instanceof Error) return cut(`${value.name}: ${value.message}`);
  return cut(
    typeof value === "string"
      ? JSON.stringify(value)
      : typeof value === "object" && value !== null
        ? "an object"
        : String(value),
  );
}

function cut(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text;
}
