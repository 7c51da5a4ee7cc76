import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { fullInMs, remaining, settle, take, waitMs } from "./token-bucket.ts";

const MINUTE_MS = 60_000;

/** Requests of one caller: the time since the one before, ms; what it is estimated to cost; the share of that which it comes to; how much later it is over, ms. */
const requests = fc.array(
  fc.record({
    after: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 90_000, noNaN: true })),
    cost: fc.integer({ min: 0, max: 50 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    lasts: fc.double({ min: 0, max: 120_000, noNaN: true }),
  }),
  { maxLength: 60 },
);

interface Spent {
  readonly at: number;
  readonly cost: number;
}

/** What was let in of these requests, each with the cost that it came to. */
function play(perMinute: number, asked: typeof requests extends fc.Arbitrary<infer T> ? T : never): Spent[] {
  const spent: Spent[] = [];
  const ends: { readonly at: number; readonly more: number }[] = [];
  let fullAt = 0;
  let now = 0;
  for (const { after, cost, share, lasts } of asked) {
    now += after;
    for (const end of ends.filter(({ at }) => at <= now).toSorted((a, b) => a.at - b.at)) {
      ends.splice(ends.indexOf(end), 1);
      fullAt = settle(fullAt, end.at, end.more, perMinute);
    }
    const next = take(fullAt, now, cost, perMinute);
    if (next === undefined) continue;
    fullAt = next;
    const actual = Math.floor(cost * share);
    spent.push({ at: now, cost: actual });
    ends.push({ at: now + lasts, more: actual - cost });
  }
  return spent;
}

describe("a bucket", () => {
  test("never lets more through than a minute's worth and what it filled by, in any window", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), requests, (perMinute, asked) => {
        const spent = play(perMinute, asked);
        for (const [first, { at: from }] of spent.entries()) {
          let sum = 0;
          for (const { at, cost } of spent.slice(first)) {
            sum += cost;
            expect(sum).toBeLessThanOrEqual(perMinute + ((at - from) * perMinute) / MINUTE_MS + 1e-6);
          }
        }
      }),
    );
  });

  test("holds again what a request gave back, as if it had not come", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e6 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1e5, noNaN: true }),
        (perMinute, share, later) => {
          const cost = Math.floor(perMinute * share);
          const taken = take(1000, 1000, cost, perMinute) ?? Number.NaN;
          const back = settle(taken, 1000 + later, -cost, perMinute);
          expect(remaining(back, 1000 + later, perMinute)).toBe(perMinute);
        },
      ),
    );
  });

  test("lets a request through exactly when it said that it would", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 1000 }), (perMinute, wanted) => {
        const cost = Math.min(wanted, perMinute);
        const empty = take(0, 0, perMinute, perMinute) ?? Number.NaN;
        const wait = waitMs(empty, 0, cost, perMinute);
        expect(take(empty, wait, cost, perMinute)).toBeDefined();
        if (wait > 1) expect(take(empty, wait - 1, cost, perMinute)).toBeUndefined();
      }),
    );
  });

  test("that was overdrawn when a request came to more than its estimate lets nothing through until it is paid", () => {
    const taken = take(0, 0, 10, 60) ?? Number.NaN;
    const overdrawn = settle(taken, 0, 80, 60);
    expect([remaining(overdrawn, 0, 60), fullInMs(overdrawn, 0), waitMs(overdrawn, 0, 1, 60)]).toEqual([
      0, 90_000, 31_000,
    ]);
    expect(take(overdrawn, 30_999, 1, 60)).toBeUndefined();
    expect(take(overdrawn, 31_000, 1, 60)).toBeDefined();
  });
});
