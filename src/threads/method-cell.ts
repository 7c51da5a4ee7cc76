import type { PolicyMethod, PolicyWatch } from "../policy/guarded-policy.ts";

/**
 * Which method of the operator's policy module a thread runs, in a cell of shared memory: a thread that hangs in it cannot
 * say so any more. The gateway's own code has its bounds and is not noted.
 */

/** By the number in the cell, from 1; 0 is none. */
const METHODS = [
  "select",
  "forget",
  "pick",
  "costs",
  "onFirstToken",
  "onEnd",
] as const satisfies readonly PolicyMethod[];

export function createMethodCell(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

/** Writes the method that runs into the cell. */
export function noteMethods(methodCell: SharedArrayBuffer): PolicyWatch {
  const cell = new Int32Array(methodCell);
  return {
    enter: (method) => void Atomics.store(cell, 0, METHODS.indexOf(method) + 1),
    leave: () => void Atomics.store(cell, 0, 0),
  };
}

/** The method that runs, in words for the log; undefined where none runs. */
export function runningMethod(methodCell: SharedArrayBuffer): string | undefined {
  const number = Atomics.load(new Int32Array(methodCell), 0);
  return number === 0 ? undefined : `${METHODS[number - 1]}() of the policy module`;
}
