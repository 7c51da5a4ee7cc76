import { expect, test } from "bun:test";
import fc from "fast-check";
import { addSample, agedBy, LineFit, slopeOf, SUMS, weightOf } from "./decayed-sums.ts";

function sumsOf(samples: readonly (readonly [x: number, y: number])[], keep = 1): Float64Array {
  const cells = new Float64Array(SUMS);
  for (const [x, y] of samples) addSample(cells, 0, { x, y, weight: 1, now: 0 }, keep);
  return cells;
}

test("a line through points of a line is that line", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 0.09, noNaN: true }),
      fc.double({ min: 1e-5, max: 1e-2, noNaN: true }),
      fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 2, maxLength: 40 }),
      (intercept, slope, lengths) => {
        fc.pre(Math.max(...lengths) > 2 * Math.min(...lengths));
        const fit = new LineFit();
        fit.clear().add(sumsOf(lengths.map((x) => [x, intercept + slope * x])), 0, 1);
        fit.fit(0.01, 0, 0.1);
        expect(fit.slope / slope).toBeCloseTo(1, 3);
        expect(fit.intercept + fit.slope * 1000).toBeCloseTo(intercept + slope * 1000, 3);
      },
    ),
  );
});

test("where all x are equal, the intercept is the usual one and the line goes through the mean", () => {
  const fit = new LineFit();
  const equal = sumsOf([
    [1000, 0.1],
    [1000, 0.2],
  ]);
  fit.clear().add(equal, 0, 1).fit(0.01, 0, 0.1);
  expect([fit.intercept, fit.slope]).toEqual([0.01, expect.closeTo(0.14 / 1000, 9)]);
});

test("an intercept out of bounds is put at the bound, and the slope found anew", () => {
  const fit = new LineFit();
  // The free line is -0.05 + 1e-4 x.
  const samples = sumsOf([
    [1000, 0.05],
    [2000, 0.15],
  ]);
  fit.clear().add(samples, 0, 1).fit(0.01, 0, 0.1);
  expect(fit.intercept).toBe(0);
  expect(fit.slope).toBeCloseTo((1000 * 0.05 + 2000 * 0.15) / (1000 ** 2 + 2000 ** 2), 12);
});

test("a slope is always above 0: without one, time is shared out to the tokens", () => {
  const fit = new LineFit();
  const falling = sumsOf([
    [1000, 0.09],
    [4000, 0.01],
  ]);
  fit.clear().add(falling, 0, 1).fit(0.01, 0, 0.1);
  expect(fit.slope).toBeGreaterThan(0);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 10_000 }), fc.double({ min: 1e-6, max: 10, noNaN: true })), {
        minLength: 1,
      }),
      (samples) => {
        fit.clear().add(sumsOf(samples), 0, 1).fit(0.01, 0, 0.1);
        expect(fit.slope).toBeGreaterThan(0);
        expect(fit.intercept >= 0 && fit.intercept <= 0.1).toBe(true);
      },
    ),
  );
});

test("sums are added by their shares", () => {
  const fit = new LineFit();
  const [near, far] = [sumsOf([[1000, 0.1]]), sumsOf([[1000, 0.4]])];
  fit.clear().add(near, 0, 2).add(far, 0, 1).fit(0, 0, 0.1);
  expect(fit.slope).toBeCloseTo(0.2 / 1000, 12);
});

test("another line is added as so many samples, with its times multiplied", () => {
  const [fit, other] = [new LineFit(), new LineFit()];
  const line = sumsOf([
    [1000, 0.11],
    [4000, 0.41],
    [7000, 0.71],
  ]);
  other.clear().add(line, 0, 5).fit(0, 0, 0.1);
  fit.clear().addLine(other, 3, 2).fit(0, 0, 0.1);
  expect([fit.intercept, fit.slope]).toEqual([expect.closeTo(0.02, 9), expect.closeTo(2e-4, 12)]);
  // As many samples that are as slow as the line, at twice the pace: half way.
  fit.clear().addLine(other, 3, 2).add(line, 0, 1).fit(0, 0, 0.1);
  expect(fit.slope).toBeCloseTo(1.5e-4, 12);
});

test("samples that took k times as long as a line says are k times as slow, the less so the more is taken for granted", () => {
  const line = new LineFit();
  line
    .clear()
    .add(
      sumsOf([
        [1000, 0.11],
        [4000, 0.41],
      ]),
      0,
      1,
    )
    .fit(0, 0, 0.1);
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 30 }),
      fc.double({ min: 0.2, max: 5, noNaN: true }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (lengths, times, share) => {
        const samples = sumsOf(lengths.map((x) => [x, times * (0.01 + 1e-4 * x)]));
        expect(line.timesOf(samples, 0, share, 0)).toBeCloseTo(times, 9);
        const granted = line.timesOf(samples, 0, share, 1);
        expect(granted >= Math.min(1, times) - 1e-9 && granted <= Math.max(1, times) + 1e-9).toBe(true);
      },
    ),
  );
  expect(line.timesOf(sumsOf([]), 0, 1, 1)).toBe(1);
});

test("older samples count less with each new one, and with time", () => {
  const cells = sumsOf(
    [
      [1, 1],
      [1, 1],
      [1, 1],
    ],
    0.5,
  );
  expect(weightOf(cells, 0)).toBe(1.75);
  expect(agedBy(cells, 0, 60, 60)).toBe(0.5);
  expect(agedBy(cells, 0, 0, 60)).toBe(1);
  // Another thread's time may be a little ahead.
  expect(agedBy(cells, 0, -1, 60)).toBe(1);
});

test("a ridge makes the slope of nearly equal samples small, and leaves a clear one", () => {
  const near = sumsOf([
    [1000, 1],
    [1001, 2],
  ]);
  expect(slopeOf(near, 0, 0)).toBeCloseTo(1, 3);
  expect(slopeOf(near, 0, 3000 ** 2)).toBeLessThan(1e-7);
  const clear = sumsOf([
    [1000, 1],
    [101_000, 2],
  ]);
  expect(slopeOf(clear, 0, 3000 ** 2) / 1e-5).toBeCloseTo(1, 1);
});
