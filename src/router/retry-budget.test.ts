import { describe, expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { RetryBudget } from "./retry-budget.ts";

const SETTINGS = { minPerSec: 2, ratio: 0.2 };

function retriesLeft(budget: RetryBudget): number {
  let count = 0;
  while (budget.tryRetry()) count += 1;
  return count;
}

describe("retry budget", () => {
  test("a few a second, and a fifth of the requests", () => {
    const clock = new ManualClock();
    expect(retriesLeft(new RetryBudget(SETTINGS, clock))).toBe(20);
    const busy = new RetryBudget(SETTINGS, clock);
    for (let count = 0; count < 1000; count += 1) busy.onRequest(clock.now());
    expect(retriesLeft(busy)).toBe(220);
  });

  test("a request that came long ago and was sent only now counts as one of the last", () => {
    const clock = new ManualClock();
    const budget = new RetryBudget(SETTINGS, clock);
    const cameAt = clock.now();
    clock.advance(60_000);
    budget.onRequest(clock.now());
    for (let count = 0; count < 99; count += 1) budget.onRequest(cameAt);
    expect(retriesLeft(budget)).toBe(40);
  });

  test("what was used comes back as it leaves the window, and so do the requests", () => {
    const clock = new ManualClock();
    const budget = new RetryBudget(SETTINGS, clock);
    for (let count = 0; count < 100; count += 1) budget.onRequest(clock.now());
    expect(retriesLeft(budget)).toBe(40);
    clock.advance(5000);
    expect(retriesLeft(budget)).toBe(0);
    clock.advance(5000);
    expect(retriesLeft(budget)).toBe(20);
    clock.advance(3_600_000);
    expect(retriesLeft(budget)).toBe(20);
  });
});
