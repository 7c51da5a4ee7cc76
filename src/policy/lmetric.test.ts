import { describe, expect, test } from "bun:test";
import { chosenBy, createPolicy, idleCandidate, requestWith } from "../../test/support/candidates.ts";
import { lmetric } from "./lmetric.ts";
import type { Candidate, Picked, PickOutcome, Policy, RequestFeatures } from "./policy.ts";

function fleet(...workers: readonly Partial<Candidate>[]): Candidate[] {
  return workers.map((worker, slot) => ({ ...idleCandidate(slot), ...worker }));
}

/** A prompt of so many tokens, 4 bytes each. */
function asking(start: string, tokens = 1000): RequestFeatures {
  const bytes = Buffer.alloc(tokens * 4, `${start}. `);
  return requestWith({ promptTokens: tokens, promptBytes: () => bytes });
}

function picked(policy: Policy, candidates: readonly Candidate[], request: RequestFeatures): Picked {
  const result = policy.pick(candidates, request);
  if (typeof result === "number") throw new Error("it has hooks");
  return result;
}

function sent(policy: Policy, to: Candidate, request: RequestFeatures, outcome: PickOutcome = "answered"): void {
  const pick = picked(policy, [to], request);
  pick.onEnd?.({ outcome, ms: 1, usage: undefined });
}

describe("lmetric", () => {
  test("takes the least product of tokens to prefill and requests", () => {
    const policy = createPolicy(lmetric);
    const workers = fleet({ pendingPromptTokens: 1000, inFlight: 3 }, { pendingPromptTokens: 4000, inFlight: 0 });
    // (1000 + 1000) * 4 against (4000 + 1000) * 1
    expect(policy.costs?.(workers, asking("a"))).toEqual([8000, 5000]);
    expect(chosenBy(policy, workers, asking("a"))).toBe(1);
  });

  test("counts only what the worker does not have of the prompt, and charges that", () => {
    const policy = createPolicy(lmetric);
    const workers = fleet({ inFlight: 2 }, { inFlight: 1 });
    sent(policy, idleCandidate(0), asking("a"));
    const pick = picked(policy, workers, asking("a"));
    expect([pick.index, (pick.chargeTokens ?? 1000) < 50]).toEqual([0, true]);
    expect(picked(policy, workers, asking("b")).chargeTokens).toBe(1000);
  });

  test("an idle worker wins against a match at a busy one only where the product says so", () => {
    const policy = createPolicy(lmetric);
    sent(policy, idleCandidate(0), asking("a"));
    expect(chosenBy(policy, fleet({ inFlight: 9, pendingPromptTokens: 50 }, {}), asking("a"))).toBe(0);
    expect(chosenBy(policy, fleet({ inFlight: 9, pendingPromptTokens: 500 }, {}), asking("a"))).toBe(1);
  });

  test("a prompt that was not prefilled is taken back", () => {
    const policy = createPolicy(lmetric);
    for (const outcome of ["failed", "unsent", "abandoned"] as const) {
      sent(policy, idleCandidate(0), asking(outcome), outcome);
      expect(picked(policy, fleet({}), asking(outcome)).chargeTokens).toBe(1000);
    }
  });

  test("a stream's prompt stays known though the client leaves after the first token", () => {
    const policy = createPolicy(lmetric);
    const pick = picked(policy, fleet({}), asking("a"));
    pick.onFirstToken?.(5);
    pick.onEnd?.({ outcome: "abandoned", ms: 9, usage: undefined });
    expect(picked(policy, fleet({}), asking("a")).chargeTokens).toBeLessThan(50);
  });

  test("a worker that was restarted has nothing", () => {
    const policy = createPolicy(lmetric);
    sent(policy, idleCandidate(0), asking("a"));
    policy.forget?.("w0", 0);
    expect(picked(policy, fleet({}), asking("a")).chargeTokens).toBe(1000);
  });

  test("decode workers are compared by their requests, and are charged no prefill", () => {
    const policy = createPolicy(lmetric);
    const pick = picked(policy, fleet({ role: "decode", inFlight: 3 }, { role: "decode", inFlight: 2 }), asking("a"));
    expect([pick.index, pick.chargeTokens]).toEqual([1, 0]);
  });

  test("equal workers take turns", () => {
    const policy = createPolicy(lmetric);
    const chosen = new Set(
      Array.from({ length: 8 }, (_, index) => chosenBy(policy, fleet({}, {}, {}, {}), asking(`${index}`))),
    );
    expect(chosen.size).toBe(4);
  });

  test("finds the owner of a prefix among thousands", () => {
    const policy = createPolicy(lmetric);
    const workers = fleet(...Array.from({ length: 3000 }, () => ({ inFlight: 1, pendingPromptTokens: 100 })));
    sent(policy, idleCandidate(1234), asking("a"));
    expect(chosenBy(policy, workers, asking("a"))).toBe(1234);
  });
});
