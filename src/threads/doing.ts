import type { Policy } from "../policy/policy.ts";

/**
 * What of the operator's own code a thread runs, in a cell of shared memory: a thread that hangs in it cannot say so any more.
 * The gateway's own code has its bounds and is not noted.
 */

/** Methods of a policy by the number in the cell; 0 is none. */
const METHODS = ["select", "forget"] as const;
/** A method that is not in the list. */
const OTHER = METHODS.length + 1;

export function createDoing(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

/** The policy; the cell says which of its methods runs. */
export function noted(policy: Policy, doing: SharedArrayBuffer): Policy {
  const cell = new Int32Array(doing);
  const methods = new Map<PropertyKey, unknown>();
  return new Proxy(policy, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== "function") return value;
      let method = methods.get(key);
      if (method === undefined) {
        const number = METHODS.findIndex((name) => name === key) + 1 || OTHER;
        method = (...given: unknown[]): unknown => {
          Atomics.store(cell, 0, number);
          try {
            return Reflect.apply(value, target, given);
          } finally {
            Atomics.store(cell, 0, 0);
          }
        };
        methods.set(key, method);
      }
      return method;
    },
  });
}

/** What the cell says, for the log; undefined where nothing is noted. */
export function whatIsDone(doing: SharedArrayBuffer): string | undefined {
  const number = Atomics.load(new Int32Array(doing), 0);
  if (number === 0) return undefined;
  return `${METHODS[number - 1] ?? "a method"}() of the policy module`;
}
