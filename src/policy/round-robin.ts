import type { AllocateShared, Policy } from "./policy.ts";

/** Each in turn. The counter is the instance's own, shared between threads, and each model has its own instance. */
export function createRoundRobin(memory: AllocateShared = (bytes) => new SharedArrayBuffer(bytes)): Policy {
  const turn = new Int32Array(memory(Int32Array.BYTES_PER_ELEMENT));
  return {
    name: "round_robin",
    // With one candidate, as after a failure of the other, nobody's turn is used up.
    select: ({ length }) => (length === 1 ? 0 : (Atomics.add(turn, 0, 1) >>> 0) % length),
  };
}
