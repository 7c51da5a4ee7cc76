import { describe, expect, test } from "bun:test";
import { candidates as workers, chosenBy, createPolicy, requestWith } from "../../test/support/candidates.ts";
import type { Candidate, RequestFeatures } from "./policy.ts";
import { twoChoiceHash } from "./two-choice-hash.ts";

function asking(text: string, promptTokens = 1000): RequestFeatures {
  return requestWith({ promptTokens, promptBytes: () => Buffer.from(text) });
}

/** Idle workers, of which one has so many tokens to prefill. */
function waiting(count: number, busy: number, pendingPromptTokens: number): Candidate[] {
  return workers(...Array.from({ length: count }, () => 0)).map((worker, index) =>
    index === busy ? { ...worker, pendingPromptTokens } : worker,
  );
}

describe("two-choice hash", () => {
  test("a prefix has one worker while waiting there costs less than prefilling the prompt anew elsewhere", () => {
    const policy = createPolicy(twoChoiceHash);
    const first = chosenBy(policy, waiting(8, -1, 0), asking("hot"));
    expect(chosenBy(policy, waiting(8, first, 1000), asking("hot"))).toBe(first);
    const second = chosenBy(policy, waiting(8, first, 1001), asking("hot"));
    expect(second).not.toBe(first);
    // A longer prompt has more to lose.
    expect(chosenBy(policy, waiting(8, first, 1001), asking("hot", 5000))).toBe(first);
  });

  test("a hot prefix never gets more than two workers, in any order of the fleet", () => {
    const policy = createPolicy(twoChoiceHash);
    const chosen = new Set<string>();
    for (let busy = 0; busy < 16; busy += 1) {
      const fleet = waiting(16, busy, 100_000);
      for (const list of [fleet, fleet.toReversed()]) chosen.add(list[chosenBy(policy, list, asking("hot"))]?.id ?? "");
    }
    expect(chosen.size).toBe(2);
  });

  test("where both of its workers have far more requests than the mean, the least loaded of all gets a hot prefix", () => {
    const policy = createPolicy(twoChoiceHash);
    const both = new Set<number>();
    for (let busy = 0; busy < 8; busy += 1) both.add(chosenBy(policy, waiting(8, busy, 100_000), asking("hot")));
    const loads = (own: number): Candidate[] =>
      workers(...Array.from({ length: 8 }, (_, index) => (both.has(index) ? own : 1)));
    // With 12 at each of the two the mean is 3.75, and ten more than that are allowed.
    expect(both.has(chosenBy(policy, loads(12), asking("hot")))).toBe(true);
    expect(both.has(chosenBy(policy, loads(40), asking("hot")))).toBe(false);
  });

  test("different prefixes are spread over the fleet", () => {
    const policy = createPolicy(twoChoiceHash);
    const idle = waiting(8, -1, 0);
    const chosen = Array.from({ length: 400 }, (_, index) => chosenBy(policy, idle, asking(`prefix ${index}`)));
    expect(new Set(chosen).size).toBe(8);
  });

  test("decode workers are compared by their requests", () => {
    const policy = createPolicy(twoChoiceHash);
    const decoders = (...loads: number[]): Candidate[] => workers(...loads).map((one) => ({ ...one, role: "decode" }));
    const first = chosenBy(policy, decoders(0, 0), asking("hot"));
    const loads = (own: number): Candidate[] => decoders(...(first === 0 ? [own, 0] : [0, own]));
    expect([chosenBy(policy, loads(1), asking("hot")), chosenBy(policy, loads(2), asking("hot"))]).toEqual([
      first,
      1 - first,
    ]);
  });

  test("a single worker gets everything, and without a prompt the least loaded does", () => {
    const policy = createPolicy(twoChoiceHash);
    expect(chosenBy(policy, workers(5), asking("hot"))).toBe(0);
    expect(chosenBy(policy, workers(3, 1, 2), requestWith())).toBe(1);
  });
});
