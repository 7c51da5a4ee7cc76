import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { linearScale, logScale } from "./scale.ts";

describe("a linear axis", () => {
  test("has marks at round numbers", () => {
    expect(linearScale(0, 1).ticks).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(linearScale(3, 47).ticks).toEqual([10, 20, 30, 40]);
  });

  test("goes from one end to the other, and no further", () => {
    const { at } = linearScale(10, 20);
    expect([at(10), at(15), at(20), at(5), at(99)]).toEqual([0, 0.5, 1, 0, 1]);
  });
});

describe("a logarithmic axis", () => {
  test("has equal distances for equal ratios", () => {
    const { at } = logScale(1, 100);
    expect([at(1), at(10), at(100)]).toEqual([0, 0.5, 1]);
    expect(at(0)).toBe(0);
  });

  test("has more marks within a decade than over several", () => {
    expect(logScale(1, 9).ticks).toEqual([1, 1.5, 2, 3, 4, 5, 7]);
    expect(logScale(10, 1000).ticks).toEqual([10, 20, 50, 100, 200, 500, 1000]);
    expect(logScale(1, 1e6).ticks).toEqual([1, 10, 100, 1000, 10_000, 100_000, 1_000_000]);
  });
});

test("each axis has a few marks, all on it and in order, whatever its ends", () => {
  const ends = fc.tuple(
    fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
    fc.double({ min: 1.2, max: 1e5, noNaN: true }),
  );
  fc.assert(
    fc.property(ends, ([least, ratio]) => {
      const most = least * ratio;
      for (const { at, ticks } of [linearScale(least, most), logScale(least, most)]) {
        expect(ticks.length).toBeLessThan(17);
        expect(ticks).toEqual(ticks.toSorted((a, b) => a - b));
        for (const tick of ticks) expect(at(tick) >= 0 && at(tick) <= 1).toBe(true);
      }
      expect(linearScale(least, most).ticks.length).toBeGreaterThan(1);
    }),
  );
});
