import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { candidates as workers, chosenBy, createPolicy, requestWith } from "../../test/support/candidates.ts";
import { bucket } from "./bucket.ts";
import { LengthHistogram } from "./length-histogram.ts";
import type { Policy } from "./policy.ts";

const prompt = (promptTokens: number) => requestWith({ promptTokens });

/** A policy whose memory several instances may share, on a clock that the test sets. */
function setUp(options: object = {}, memory = new Map<number, SharedArrayBuffer>()) {
  const clock = { ms: 1000 };
  const make = (): Policy =>
    createPolicy(
      bucket,
      { ...options },
      {
        now: () => clock.ms,
        random: () => 0,
        memory: (bytes) => {
          const known = memory.get(bytes) ?? new SharedArrayBuffer(bytes);
          memory.set(bytes, known);
          return known;
        },
      },
    );
  return { clock, make };
}

/** Sends prompts of each length, in all as many tokens of each. */
function learn(policy: Policy, ...lengths: readonly number[]): void {
  const most = Math.max(...lengths);
  for (const length of lengths)
    for (let sent = 0; sent < most; sent += length) chosenBy(policy, workers(0, 0), prompt(length));
}

describe("the ranges of lengths", () => {
  test("have equal sums of tokens, and longer prompts never belong to an earlier range", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 200 }),
        fc.integer({ min: 1, max: 12 }),
        (lengths, parts) => {
          const histogram = new LengthHistogram((bytes) => new SharedArrayBuffer(bytes), 1000);
          for (const length of lengths) histogram.add(length, 0);
          const ranges = histogram.divide(parts);
          if (!ranges) throw new Error("there were prompts");
          const total = lengths.reduce((sum, length) => sum + length, 0);
          const sorted = lengths.toSorted((a, b) => a - b);
          let last = 0;
          for (const length of sorted) {
            const [from, to] = [ranges.first(length), ranges.last(length)];
            expect(from <= to && to < parts && from >= last).toBe(true);
            // A range begins after about as many tokens as the ranges before it have. Prompts of about one length are counted together.
            const shorter = sorted
              .filter((other) => Math.max(other, 16) < Math.max(length, 16) / 1.05)
              .reduce((sum, other) => sum + other, 0);
            const upTo = sorted
              .filter((other) => other < Math.max(length, 16) * 1.05)
              .reduce((sum, other) => sum + other, 0);
            expect(from).toBeGreaterThanOrEqual(Math.min(parts - 1, (shorter / total) * parts - 0.51));
            expect(to).toBeLessThanOrEqual((upTo / total) * parts + 0.51);
            last = from;
          }
        },
      ),
    );
  });

  test("are of the last one to two windows", () => {
    const histogram = new LengthHistogram((bytes) => new SharedArrayBuffer(bytes), 1000);
    expect(histogram.divide(2)).toBeUndefined();
    for (let count = 0; count < 10; count += 1) histogram.add(100, 5000);
    histogram.add(100_000, 6000);
    expect(histogram.divide(2)?.first(100)).toBe(0);
    expect(histogram.divide(2)?.last(100_000)).toBe(1);
    for (const ms of [7000, 8000]) histogram.add(20, ms);
    // Only prompts of 20 tokens are left: they share all ranges.
    expect([histogram.divide(2)?.first(20), histogram.divide(2)?.last(20)]).toEqual([0, 1]);
  });
});

describe("bucket", () => {
  test("sends short prompts to the first workers and long ones to the last, once it has seen some", () => {
    const policy = setUp().make();
    learn(policy, 100, 400, 1600, 6400);
    const idle = workers(0, 0, 0, 0);
    expect([100, 400, 1600, 6400].map((tokens) => chosenBy(policy, idle, prompt(tokens)))).toEqual([0, 1, 2, 3]);
    expect([1, 150_000].map((tokens) => chosenBy(policy, idle, prompt(tokens)))).toEqual([0, 3]);
  });

  test("gives prompts of one length to all workers in equal parts", () => {
    const policy = setUp().make();
    const idle = workers(0, 0, 0);
    chosenBy(policy, idle, prompt(1000));
    expect(chosenBy(policy, workers(4, 2, 3), prompt(1000))).toBe(1);
    expect(chosenBy(policy, workers(4, 5, 3), prompt(1000))).toBe(2);
  });

  test("takes the least loaded worker where the right one has too many requests", () => {
    const policy = setUp({ balanceAbsThreshold: 10, balanceRelThreshold: 1 }).make();
    learn(policy, 100, 400);
    expect(chosenBy(policy, workers(0, 10), prompt(400))).toBe(1);
    expect(chosenBy(policy, workers(0, 11), prompt(400))).toBe(0);
  });

  test("keeps its ranges for the interval, and follows the traffic after it", () => {
    const { clock, make } = setUp({ bucketAdjustIntervalSecs: 5 });
    const policy = make();
    for (let count = 0; count < 300; count += 1) learn(policy, 100, 400);
    const idle = workers(0, 0);
    expect(chosenBy(policy, idle, prompt(400))).toBe(1);
    for (let count = 0; count < 90; count += 1) learn(policy, 50_000);
    expect(chosenBy(policy, idle, prompt(400))).toBe(1);
    clock.ms += 5000;
    expect(chosenBy(policy, idle, prompt(400))).toBe(0);
  });

  test("divides by the prompts that come, and not by the first one, also within the first interval", () => {
    for (const first of [50, 1000, 60_000]) {
      const policy = setUp().make();
      const idle = workers(0, 0, 0, 0);
      chosenBy(policy, idle, prompt(first));
      const tokens = [0, 0, 0, 0];
      for (let count = 0; count < 400; count += 1) {
        const length = 1000 + ((count * 617) % 8000);
        const at = chosenBy(policy, idle, prompt(length));
        tokens[at] = (tokens[at] ?? 0) + length;
      }
      const all = tokens.reduce((sum, one) => sum + one, 0);
      expect(Math.min(...tokens) / all).toBeGreaterThan(0.05);
      expect(Math.max(...tokens) / all).toBeLessThan(0.4);
    }
  });

  test("counts the lengths of all threads together", () => {
    const { make } = setUp();
    const [one, other] = [make(), make()];
    learn(one, 100, 400);
    expect([chosenBy(other, workers(0, 0), prompt(100)), chosenBy(other, workers(0, 0), prompt(400))]).toEqual([0, 1]);
  });

  test("chooses by load while it has seen nothing", () => {
    expect(chosenBy(setUp().make(), workers(3, 1, 2), prompt(100))).toBe(1);
  });
});
