import { describe, expect, test } from "bun:test";
import { candidates as workers, idleCandidate, requestWith } from "../../test/support/candidates.ts";
import type { Candidate, RequestFeatures } from "./policy.ts";
import { SessionAffinity } from "./session-affinity.ts";

const PARTS = { memory: (bytes: number) => new SharedArrayBuffer(bytes), random: () => 0.5, now: () => 0 };

function setUp(overrideSecs = 1): SessionAffinity {
  return new SessionAffinity({ maxIdleSecs: 100, maxSessions: 64, overrideSecs }, PARTS);
}

function of(key: string | undefined, promptTokens = 8000): RequestFeatures {
  return requestWith({ routingKey: () => key, promptTokens });
}

/** Workers that have so many tokens to prefill; unlearned rates are 8,000 tokens a second. */
function waiting(...pending: readonly number[]): Candidate[] {
  return pending.map((pendingPromptTokens, slot) => ({ ...idleCandidate(slot), pendingPromptTokens }));
}

/** The session gets this worker. */
function begin(affinity: SessionAffinity, key: string, slot: number): void {
  affinity.stayAt(workers(0, 0, 0), of(key));
  affinity.chosen(slot);
}

describe("a session", () => {
  test("stays with the worker that the policy chose for it", () => {
    const affinity = setUp();
    expect(affinity.stayAt(workers(0, 0, 0), of("a"))).toBe(-1);
    affinity.chosen(2);
    expect(affinity.stayAt(workers(0, 0, 9), of("a"))).toBe(2);
    expect(affinity.stayAt(workers(0, 0, 9), of("b"))).toBe(-1);
    expect(affinity.stayAt(workers(0, 0, 9), of(undefined))).toBe(-1);
  });

  test("leaves where waiting takes longer than to wait and prefill elsewhere, by the seconds that are set", () => {
    const affinity = setUp(1);
    begin(affinity, "a", 0);
    // Leaving costs a second of prefill and a second of waiting; one more may be lost for the sake of staying.
    expect(affinity.stayAt(waiting(24_000, 8000), of("a"))).toBe(0);
    expect(affinity.stayAt(waiting(24_001, 8000), of("a"))).toBe(-1);
    affinity.chosen(1);
    expect(affinity.stayAt(waiting(0, 8000), of("a"))).toBe(1);
    expect(affinity.table.outcomes("moved")).toBe(1);
  });

  test("stays longer with a long prompt, which is dear to prefill anew", () => {
    const affinity = setUp(1);
    begin(affinity, "a", 0);
    expect(affinity.stayAt(waiting(40_000, 0), of("a", 80_000))).toBe(0);
    expect(affinity.stayAt(waiting(40_000, 0), of("a", 800))).toBe(-1);
  });

  test("leaves a slow worker sooner, by the rates that first tokens show", () => {
    const affinity = setUp(1);
    begin(affinity, "a", 0);
    for (let count = 0; count < 200; count += 1) {
      affinity.rates.learn(0, 800, 1000);
      affinity.rates.learn(1, 8000, 1000);
    }
    expect(affinity.stayAt(waiting(4000, 0), of("a"))).toBe(-1);
    expect(affinity.stayAt(waiting(1000, 0), of("a"))).toBe(0);
  });

  test("whose worker cannot take the request has the next one for good", () => {
    const affinity = setUp();
    begin(affinity, "a", 0);
    const others = workers(0, 0, 0).slice(1);
    expect(affinity.stayAt(others, of("a"))).toBe(-1);
    affinity.chosen(1);
    expect(affinity.stayAt(workers(0, 0, 0), of("a"))).toBe(1);
    affinity.chosen(1);
    expect([affinity.table.outcomes("new"), affinity.table.outcomes("lost"), affinity.table.outcomes("kept")]).toEqual([
      1, 1, 1,
    ]);
  });

  test("never leaves its only worker", () => {
    const affinity = setUp(0);
    begin(affinity, "a", 0);
    expect(affinity.stayAt(waiting(1_000_000), of("a"))).toBe(0);
  });

  test("is forgotten with its worker", () => {
    const affinity = setUp();
    begin(affinity, "a", 1);
    affinity.forget(1);
    expect(affinity.stayAt(workers(0, 0), of("a"))).toBe(-1);
    affinity.chosen(0);
    expect(affinity.table.outcomes("new")).toBe(2);
  });
});
