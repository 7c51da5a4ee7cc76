import { expect, test } from "bun:test";
import { chosenBy, createPolicy, idleCandidate } from "../../test/support/candidates.ts";
import type { Candidate } from "./policy.ts";
import { roundRobin } from "./round-robin.ts";

const ALL = [idleCandidate(0), idleCandidate(1), idleCandidate(2), idleCandidate(5)];

/** A function that returns the slot of the next choice among the candidates. */
function turns(memory?: () => SharedArrayBuffer): (candidates: readonly Candidate[]) => number | undefined {
  const policy = createPolicy(roundRobin, {}, memory ? { memory } : {});
  return (candidates) => candidates[chosenBy(policy, candidates)]?.slot;
}

test("each worker has its turn in their order, whichever slots they have", () => {
  const next = turns();
  const reused = [idleCandidate(5), idleCandidate(0), idleCandidate(2), idleCandidate(1)];
  expect(Array.from({ length: 6 }, () => next(reused))).toEqual([5, 0, 2, 1, 5, 0]);
});

test("second attempts take the failed worker's share evenly to the others, and nobody is stepped over", () => {
  const next = turns();
  const served: (number | undefined)[] = [];
  for (let request = 0; request < 30; request += 1) {
    const first = next(ALL);
    served.push(first === 1 ? next(ALL.filter(({ slot }) => slot !== 1)) : first);
  }
  expect([0, 2, 5].map((slot) => served.filter((one) => one === slot).length)).toEqual([10, 10, 10]);
});

test("with one candidate left nobody's turn is used up", () => {
  const next = turns();
  const two = [idleCandidate(0), idleCandidate(1)];
  expect([next(two), next([idleCandidate(1)]), next(two), next(two)]).toEqual([0, 1, 1, 0]);
});

test("threads share the turns", () => {
  const memory = new SharedArrayBuffer(4);
  const [one, other] = [turns(() => memory), turns(() => memory)];
  expect([one(ALL), other(ALL), one(ALL), other(ALL)]).toEqual([0, 1, 2, 5]);
});
