import { definePolicy, NO_OPTIONS } from "./define-policy.ts";
import type { AllocateShared, Candidate, Policy } from "./policy.ts";

/**
 * Keeps the worker with the last turn in memory that the threads share: its slot plus one, or 0 before the first turn. It keeps no
 * count. Candidates change between requests, and a second attempt chooses without the failed worker: a count would skip the worker
 * after that one each time.
 */
export const roundRobin = definePolicy({
  name: "round_robin",
  aliases: ["roundrobin"],
  chooses: "each worker in turn",
  goodFor: "equal workers, equal requests",
  options: NO_OPTIONS,
  create: (_options, { memory }) => createRoundRobin(memory),
});

function createRoundRobin(memory: AllocateShared): Policy {
  const last = new Int32Array(memory(Int32Array.BYTES_PER_ELEMENT));
  return {
    name: "round_robin",
    lastReason: "turn",
    pick(candidates) {
      // A single candidate, for example after a failure of the other, uses up no turn.
      if (candidates.length === 1) return 0;
      // If another thread takes the same turn meanwhile, this one looks for the next.
      for (;;) {
        const before = Atomics.load(last, 0);
        const next = nextAfter(candidates, before);
        const turn = (candidates[next]?.slot ?? -1) + 1;
        if (Atomics.compareExchange(last, 0, before, turn) === before) return next;
      }
    },
  };
}

/**
 * The candidate after the one with the last turn, in their order. If that one is no longer a candidate, it is the one with the next
 * higher slot; after the highest, the one with the lowest slot.
 */
function nextAfter(candidates: readonly Candidate[], last: number): number {
  if (last === 0) return 0;
  let lowest = -1;
  let next = -1;
  let lowestTurn = Number.POSITIVE_INFINITY;
  let nextTurn = Number.POSITIVE_INFINITY;
  for (let index = 0; index < candidates.length; index += 1) {
    const turn = (candidates[index]?.slot ?? -1) + 1;
    if (turn === last) return (index + 1) % candidates.length;
    if (turn < lowestTurn) {
      lowest = index;
      lowestTurn = turn;
    }
    if (turn > last && turn < nextTurn) {
      next = index;
      nextTurn = turn;
    }
  }
  return next >= 0 ? next : lowest;
}
