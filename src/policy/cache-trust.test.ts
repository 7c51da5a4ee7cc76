import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CACHE_TRUST_BYTES, CacheTrust } from "./cache-trust.ts";

function createTrust(): CacheTrust {
  return new CacheTrust(new SharedArrayBuffer(CACHE_TRUST_BYTES), 0);
}

function graded(trust: CacheTrust, times: number, predicted: number, found: number | undefined): number {
  for (let count = 0; count < times; count += 1) trust.grade(3, predicted, found);
  return trust.of(3);
}

describe("trust in what is known of a worker's cache", () => {
  test("is whole at first, and stays so while the worker finds what was predicted, or more", () => {
    const trust = createTrust();
    expect(trust.of(3)).toBe(1);
    expect([graded(trust, 100, 1000, 1000), graded(trust, 100, 1000, 5000)]).toEqual([1, 1]);
    // Engines cache whole blocks.
    expect(graded(trust, 100, 1000, 910)).toBe(1);
  });

  test("falls to the share that the worker finds, over many requests, and comes back", () => {
    const trust = createTrust();
    expect(graded(trust, 1, 1000, 0)).toBeGreaterThan(0.9);
    expect(graded(trust, 200, 1000, 450)).toBeCloseTo(0.5, 2);
    expect(graded(trust, 10, 1000, 1000)).toBeLessThan(0.75);
    expect(graded(trust, 200, 1000, 1000)).toBeGreaterThan(0.99);
  });

  test("never falls so far that nothing would test it", () => {
    expect(graded(createTrust(), 10_000, 1000, 0)).toBeCloseTo(0.1, 3);
  });

  test("is one worker's own, and new after it was forgotten", () => {
    const trust = createTrust();
    graded(trust, 100, 1000, 0);
    expect(trust.of(4)).toBe(1);
    trust.forget(3);
    expect(trust.of(3)).toBe(1);
  });

  test("learns nothing from short prefixes, and from workers that never tell", () => {
    const trust = createTrust();
    expect(graded(trust, 100, 100, 0)).toBe(1);
    expect(graded(trust, 100, 1000, undefined)).toBe(1);
  });

  test("takes silence for nothing found where the worker has told before", () => {
    const trust = createTrust();
    graded(trust, 1, 1000, 1000);
    expect(graded(trust, 100, 1000, undefined)).toBeLessThan(0.2);
  });

  test("is between 0.1 and 1 whatever comes", () => {
    const step = fc.record({ predicted: fc.nat(100_000), found: fc.option(fc.nat(200_000), { nil: undefined }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const trust = createTrust();
        for (const { predicted, found } of steps) {
          trust.grade(3, predicted, found);
          expect(trust.of(3)).toBeWithin(0.0999, 1.0001);
        }
      }),
      { numRuns: 50 },
    );
  });
});
