import { definePolicy, NO_OPTIONS } from "./define-policy.ts";
import type { AllocateShared, Candidate, Policy } from "./policy.ts";

/**
 * Keeps which worker had the last turn: its slot plus one, and 0 before the first turn, in memory that the threads share. It
 * does not keep a count. Candidates come and go between requests, and a second attempt is a choice without the worker that
 * failed: a count would step over the worker behind that one each time.
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
    pick(candidates) {
      // With one candidate, as after a failure of the other, nobody's turn is used up.
      if (candidates.length === 1) return 0;
      // Another thread may take the same turn meanwhile: then it has had it, and the next is looked for.
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
 * The candidate behind the one that had the last turn, in their order. Where that one is none of them any more: the one with the next
 * higher slot, or from the highest on the one with the lowest.
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
