import { POLICY_METHODS, type PolicyWatch } from "../policy/guarded-policy.ts";

/**
 * A cell of shared memory that has the running method of the operator's policy module, because a thread that hangs in it cannot
 * send a message. The gateway's own code has bounds and is not noted. The cell has an index into POLICY_METHODS plus 1; 0 means no method.
 */

/** Allocates the cell of one thread. */
export function createMethodCell(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

/** Writes the running method into the cell. */
export function noteMethods(methodCell: SharedArrayBuffer): PolicyWatch {
  const cell = new Int32Array(methodCell);
  return {
    enter: (method) => void Atomics.store(cell, 0, POLICY_METHODS.indexOf(method) + 1),
    leave: () => void Atomics.store(cell, 0, 0),
  };
}

/** Name of the running method, for the log; undefined where none runs. */
export function runningMethod(methodCell: SharedArrayBuffer): string | undefined {
  const number = Atomics.load(new Int32Array(methodCell), 0);
  return number === 0 ? undefined : `${POLICY_METHODS[number - 1]}() of the policy module`;
}
