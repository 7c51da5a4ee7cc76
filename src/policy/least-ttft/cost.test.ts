import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeCost, evictionCost, heldUpCost, kvWallCost, prefillWork, waitingCost, waitingSeconds } from "./cost.ts";

describe("work", () => {
  test("is the number of new tokens while nothing is known of attention", () => {
    expect(prefillWork(5000, 200, 0)).toBe(200);
  });

  test("grows with all tokens that the new ones attend to", () => {
    // 100 new tokens after 1,000 cached ones: 100 + 1e-4 * 100 * 2,100.
    expect(prefillWork(1000, 100, 1e-4)).toBeCloseTo(121, 9);
  });

  test("of a prompt in two parts is the work of the whole", () => {
    fc.assert(
      fc.property(fc.nat(50_000), fc.nat(50_000), fc.double({ min: 0, max: 2e-4, noNaN: true }), (one, two, k) => {
        const parts = prefillWork(0, one, k) + prefillWork(one, two, k);
        expect(parts).toBeCloseTo(prefillWork(0, one + two, k), 3);
      }),
    );
  });
});

describe("waiting", () => {
  // 10 ms and 100 µs a token.
  const wait = (work: number, oldest: number, elapsedS: number): number =>
    waitingSeconds(0.01, 1e-4, work, oldest, elapsedS);

  test("is the overhead and all pending work at first", () => {
    expect(wait(3000, 1000, 0)).toBeCloseTo(0.31, 9);
  });

  test("falls by three quarters of the time that has passed, until that is the oldest request's own", () => {
    expect(wait(3000, 1000, 0.1)).toBeCloseTo(0.31 - 0.075, 9);
    expect(wait(3000, 1000, 0.11)).toBeCloseTo(0.31 - 0.0825, 9);
    expect(wait(3000, 1000, 0.2)).toBeCloseTo(0.31 - 0.0825, 9);
  });

  test("grows with each second in which a worker is later than one and a half times the oldest request and 100 ms", () => {
    expect(wait(3000, 1000, 0.265)).toBeCloseTo(0.2275, 9);
    expect(wait(3000, 1000, 1.265)).toBeCloseTo(1.2275, 9);
    expect(wait(3000, 1000, 6.265)).toBeCloseTo(6.2275, 9);
  });

  test("is never below a quarter of what the oldest request takes", () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.nat(100_000), fc.double({ min: 0, max: 100, noNaN: true }), (oldest, more, s) => {
        expect(wait(oldest + more, oldest, s)).toBeGreaterThanOrEqual(0.25 * (0.01 + 1e-4 * oldest) - 1e-9);
      }),
    );
  });

  test("costs twice as much as it lasts, but for the prefill of what the request needs itself", () => {
    expect([0, 0.25, 0.5, 5].map((ownS) => waitingCost(0.5, ownS))).toEqual([1, 0.75, 0.5, 0.5]);
  });

  test("counts twice, but for at most half a second more", () => {
    expect([waitingCost(0.25, 0), waitingCost(2, 0), waitingCost(20, 0)]).toEqual([0.5, 2.5, 20.5]);
  });
});

describe("what a request costs those around it", () => {
  test("its own ten decode steps are dearer the more sequences and the longer contexts are there", () => {
    expect(decodeCost(0, 0)).toBe(0);
    expect(decodeCost(10, 0)).toBeCloseTo(0.0419, 9);
    expect(decodeCost(10, 100_000)).toBeCloseTo(0.0419 + 0.142, 9);
  });

  test("each decoding sequence is held up for a twentieth of the prefill, and all together for a quarter", () => {
    expect(heldUpCost(2, 3)).toBeCloseTo(0.3, 9);
    expect([heldUpCost(2, 5), heldUpCost(2, 50)]).toEqual([0.5, 0.5]);
  });

  test("at a decode worker each counts for a fifth, however many there are", () => {
    expect(heldUpCost(2, 50, true)).toBeCloseTo(20, 9);
  });

  test("new tokens push others out of a cache as far as it is full", () => {
    expect(evictionCost(1e-4, 1000, 0)).toBe(0);
    expect(evictionCost(1e-4, 1000, 0.5)).toBeCloseTo(0.05, 9);
  });

  test("the KV cache is a wall from nineteen twentieths on, and none where its size is unknown", () => {
    expect(kvWallCost(95_000, 100_000)).toBe(0);
    expect(kvWallCost(100_000, 100_000)).toBeCloseTo(0.5, 9);
    expect(kvWallCost(200_000, 100_000)).toBeCloseTo(10.5, 9);
    expect(kvWallCost(1e9, undefined)).toBe(0);
  });
});
