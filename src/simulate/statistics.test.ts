import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { seededRandom } from "./seeded-random.ts";
import { estimate, geometricMean, quantiles } from "./statistics.ts";

describe("an estimate", () => {
  test("has the mean, and Student's interval around it", () => {
    const { mean, half } = estimate([1, 2, 3]);
    expect(mean).toBe(2);
    expect(half).toBeCloseTo(4.303 / Math.sqrt(3), 10);
  });

  test("of one value has no interval, and of equal ones none of any width", () => {
    expect(estimate([5])).toEqual({ mean: 5, half: Number.NaN });
    expect(estimate([4, 4, 4, 4])).toEqual({ mean: 4, half: 0 });
  });

  test("covers the true mean in about 95 of 100 cases", () => {
    const uniform = seededRandom(7);
    let covered = 0;
    for (let round = 0; round < 2000; round += 1) {
      // Sums of twelve are nearly normal with mean 6.
      const values = Array.from({ length: 5 }, () => Array.from({ length: 12 }, uniform).reduce((a, b) => a + b, 0));
      const { mean, half } = estimate(values);
      if (Math.abs(mean - 6) <= half) covered += 1;
    }
    expect(covered / 2000).toBeGreaterThan(0.93);
    expect(covered / 2000).toBeLessThan(0.97);
  });
});

test("a geometric mean is the same for a ratio and its inverse", () => {
  expect(geometricMean([2, 0.5])).toBeCloseTo(1, 12);
  expect(geometricMean([1, 10, 100])).toBeCloseTo(10, 10);
});

test("quantiles begin with the least, end with the largest, and never fall", () => {
  expect(quantiles([3, 1, 2], 2)).toEqual([1, 2, 3]);
  expect(quantiles([], 4)).toEqual([]);
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 1 }), (values) => {
      const found = quantiles(values, 20);
      expect(found).toHaveLength(21);
      expect([found[0], found[20]]).toEqual([Math.min(...values), Math.max(...values)]);
      for (const [at, value] of found.entries()) expect(value).toBeGreaterThanOrEqual(found[at - 1] ?? value);
    }),
  );
});
