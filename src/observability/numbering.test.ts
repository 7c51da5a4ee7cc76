import { expect, test } from "bun:test";
import fc from "fast-check";
import { Numbering } from "./numbering.ts";

test("values are numbered in the order in which they first come", () => {
  const numbering = new Numbering(10);
  expect([7, -3, 7, 0, -3].map((value) => numbering.of(value))).toEqual([0, 1, 0, 2, 1]);
});

test("the value not seen for longest is forgotten, and gets a new number", () => {
  const numbering = new Numbering(2);
  expect([1, 2, 1, 3, 1, 2].map((value) => numbering.of(value))).toEqual([0, 1, 0, 2, 0, 3]);
});

test("while nothing is forgotten, numbers are equal where values are, and are as many as the values", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -20, max: 20 })), (values) => {
      const numbering = new Numbering(100);
      const numbers = values.map((value) => numbering.of(value));
      for (const [at, value] of values.entries())
        expect(numbers.indexOf(numbers[at] ?? -1)).toBe(values.indexOf(value));
      expect(Math.max(-1, ...numbers)).toBe(new Set(values).size - 1);
    }),
  );
});
