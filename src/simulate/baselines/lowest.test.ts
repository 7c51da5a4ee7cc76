import { expect, test } from "bun:test";
import { lowest } from "./lowest.ts";

test("the lowest cost is chosen, and NaN never", () => {
  const costs = [Number.NaN, 3, 2, Number.NaN, 5];
  expect(lowest(costs.length, (index) => costs[index] ?? 0, Math.random)).toBe(2);
  expect(lowest(2, () => Number.NaN, Math.random)).toBe(-1);
  expect(lowest(0, () => 1, Math.random)).toBe(-1);
});

test("a worker is chosen even if each cost is infinite", () => {
  expect(
    lowest(
      3,
      () => Number.POSITIVE_INFINITY,
      () => 0.99,
    ),
  ).toBe(0);
});

test("equals are drawn by lot, each as often as the others", () => {
  const counts = [0, 0, 0];
  let draw = 0;
  // A sequence that is even in two dimensions (Kronecker), so that the test has no chance in it.
  const random = (): number => (draw += 0.618_033_988_75) % 1;
  for (let round = 0; round < 3000; round += 1) {
    const index = lowest(4, (one) => (one === 1 ? 9 : 1), random);
    counts[index > 1 ? index - 1 : index] = (counts[index > 1 ? index - 1 : index] ?? 0) + 1;
  }
  for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
});
