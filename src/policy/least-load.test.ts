import { describe, expect, test } from "bun:test";
import { chosenBy, createPolicy, idleCandidate, requestWith } from "../../test/support/candidates.ts";
import { leastLoad } from "./least-load.ts";
import type { Candidate, Policy } from "./policy.ts";

function fleet(...workers: readonly Partial<Candidate>[]): Candidate[] {
  return workers.map((worker, slot) => ({ ...idleCandidate(slot), ...worker }));
}

/** The worker of this slot prefills so many tokens a second. */
function teach(policy: Policy, slot: number, tokensPerSec: number): void {
  for (let count = 0; count < 100; count += 1) {
    const picked = policy.pick([idleCandidate(slot)], requestWith({ promptTokens: 1000 }));
    if (typeof picked !== "number") picked.onFirstToken?.((1000 / tokensPerSec) * 1000);
  }
}

describe("least load", () => {
  test("counts tokens that wait, not requests", () => {
    const policy = createPolicy(leastLoad);
    const one = { inFlight: 1, pendingPromptTokens: 100_000 };
    const many = { inFlight: 20, pendingPromptTokens: 2000 };
    expect(chosenBy(policy, fleet(one, many))).toBe(1);
  });

  test("counts seconds, not tokens: a faster worker may have more of them", () => {
    const policy = createPolicy(leastLoad);
    teach(policy, 0, 2000);
    teach(policy, 1, 16_000);
    const workers = fleet({ pendingPromptTokens: 4000, inFlight: 1 }, { pendingPromptTokens: 10_000, inFlight: 1 });
    expect(chosenBy(policy, workers)).toBe(1);
    const costs = policy.costs?.(workers, requestWith()) ?? [];
    expect(costs[0]).toBeWithin(1.6, 2.1);
    expect(costs[1]).toBeWithin(0.6, 0.8);
  });

  test("keeps away from a KV cache that is nearly full, though nothing waits there", () => {
    const policy = createPolicy(leastLoad);
    const full = { inFlight: 1, contextTokens: 99_000, kvCapacityTokens: 100_000 };
    const waits = { inFlight: 1, pendingPromptTokens: 8000, contextTokens: 8000, kvCapacityTokens: 100_000 };
    expect(chosenBy(policy, fleet(full, waits))).toBe(1);
    expect(policy.costs?.(fleet(full), requestWith())[0]).toBeCloseTo(0.15 * 99 + 0.001, 3);
  });

  test("leaves the barrier out for a worker that does not say how large its cache is", () => {
    const policy = createPolicy(leastLoad);
    expect(policy.costs?.(fleet({ contextTokens: 10_000_000, inFlight: 2 }), requestWith())[0]).toBeCloseTo(0.002, 6);
  });

  test("never costs more than a full cache may, however much is in flight", () => {
    const policy = createPolicy(leastLoad);
    const over = fleet({ contextTokens: 500_000, kvCapacityTokens: 100_000 });
    expect(policy.costs?.(over, requestWith())[0]).toBeCloseTo(0.15 * 999, 1);
  });

  test("takes the decode worker with the fewest requests where no cache is known", () => {
    const policy = createPolicy(leastLoad);
    const decoders = fleet({ role: "decode", inFlight: 3 }, { role: "decode", inFlight: 2 });
    expect(chosenBy(policy, decoders)).toBe(1);
  });

  test("is the same measure in seconds for a fleet of thousands, of which it compares some", () => {
    const policy = createPolicy(leastLoad);
    const workers = fleet(
      ...Array.from({ length: 3000 }, (_, index) => ({ pendingPromptTokens: (index % 100) * 1000, inFlight: 1 })),
    );
    for (let count = 0; count < 30; count += 1) {
      expect(workers[chosenBy(policy, workers)]?.pendingPromptTokens).toBeLessThan(20_000);
    }
  });
});
