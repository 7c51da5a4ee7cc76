import { describe, expect, test } from "bun:test";
import { meanRatio } from "./statistics.ts";

describe("the mean of ratios", () => {
  test("is the geometric one, in the middle of its interval", () => {
    const { mean, from, to } = meanRatio([0.5, 2, 1]) ?? { mean: 0, from: 0, to: 0 };
    expect(mean).toBeCloseTo(1);
    expect(Math.log(to) + Math.log(from)).toBeCloseTo(0);
    // The logarithms have the deviation ln 2: t is 4.303 for two degrees of freedom.
    expect(Math.log(to)).toBeCloseTo((4.303 * Math.log(2)) / Math.sqrt(3), 3);
  });

  test("of one is that one, and of none there is none", () => {
    expect(meanRatio([1.5])).toMatchObject({
      mean: expect.closeTo(1.5),
      from: expect.closeTo(1.5),
      to: expect.closeTo(1.5),
    });
    expect(meanRatio([])).toBeUndefined();
  });

  test("of many has the interval of the normal distribution, a little wider", () => {
    const { to } = meanRatio(Array.from({ length: 21 }, (_, at) => Math.exp(at % 2 === 0 ? 0.1 : -0.1))) ?? { to: 0 };
    expect(Math.log(to)).toBeCloseTo(0.1 / 21 + 2.086 * (0.1023 / Math.sqrt(21)), 3);
  });
});
