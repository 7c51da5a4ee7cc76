import { expect, test } from "bun:test";
import fc from "fast-check";
import { setUpFleet } from "../../test/support/fleet.ts";
import { haveDifferentPriorities, preferredOf } from "./preferred-workers.ts";

function workersWith(...priorities: readonly number[]) {
  const fleet = setUpFleet();
  return priorities.map((priority, index) => fleet.add(`http://w${index}:1`, { priority }));
}

test("workers of one priority are all preferred, as the same list", () => {
  const workers = workersWith(50, 50);
  expect(haveDifferentPriorities(workers)).toBe(false);
  expect(preferredOf(workers)).toBe(workers);
});

test("only the workers with the highest priority are preferred, in their order", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 8 }), (priorities) => {
      const workers = workersWith(...priorities);
      const highest = Math.max(...priorities);
      expect(preferredOf(workers)).toEqual(workers.filter(({ priority }) => priority === highest));
      expect(haveDifferentPriorities(workers)).toBe(new Set(priorities).size > 1);
    }),
    { numRuns: 30 },
  );
});

test("a list asked for again is the same list, so that policies recognise it", () => {
  const workers = workersWith(60, 50, 60);
  expect(preferredOf(workers)).toBe(preferredOf(workers));
});

test("nobody is preferred among nobody", () => {
  expect(preferredOf([])).toEqual([]);
});
