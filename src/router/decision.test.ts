import { describe, expect, test } from "bun:test";
import { candidates as idle, requestWith } from "../../test/support/candidates.ts";
import type { Explanation, Policy } from "../policy/policy.ts";
import { decisionOf, explanationsOf, type Weighed } from "./decision.ts";

const FLEET = idle(...Array.from({ length: 40 }, () => 0));

function legOf(available: number): Weighed["leg"] {
  return { role: "regular", policy: { name: "p", costUnit: "s" }, snapshot: { available: { length: available } } };
}

function weighed(more: Partial<Weighed> = {}): Weighed {
  const leg = legOf(FLEET.length);
  return { leg, candidates: FLEET, index: 2, reason: "turn", explanations: [], pick: undefined, ...more };
}

/** Explanations with these costs by index. */
function costing(costs: readonly number[]): Explanation[] {
  return costs.map((cost, index) => ({ index, cost, terms: { waiting: cost } }));
}

describe("a decision", () => {
  test("names the chosen worker, its cost, the reason, and the candidates that were cheapest", () => {
    const decision = decisionOf(weighed({ index: 39, explanations: costing(FLEET.map((_, index) => 100 - index)) }));
    expect(decision).toMatchObject({ policy: "p", worker: "http://w39:1", reason: "turn", candidates: 40, cost: 61 });
    expect([decision.considered.length, decision.unit]).toEqual([16, "s"]);
    expect(decision.considered[0]).toMatchObject({ worker: "http://w39:1", cost: 61, terms: { waiting: 61 } });
  });

  test("has the chosen worker among the candidates even where many others were cheaper", () => {
    const { considered } = decisionOf(weighed({ index: 0, explanations: costing(FLEET.map((_, index) => -index)) }));
    expect([considered.length, considered.at(-1)?.worker]).toEqual([17, "http://w0:1"]);
  });

  test("says how many workers take requests and were no candidates", () => {
    expect(decisionOf(weighed({ leg: legOf(43) })).heldBack).toBe(3);
    // With too few workers left, more are asked than are available.
    expect(decisionOf(weighed({ leg: legOf(2) })).heldBack).toBe(0);
  });

  test("has the unit of the policy's costs", () => {
    const leg: Weighed["leg"] = { ...legOf(2), policy: { name: "p" } };
    expect(decisionOf(weighed({ leg, explanations: costing([1]) })).unit).toBe("points");
  });

  test("of a policy that explains nothing has no costs", () => {
    const { unit, cost, considered, chargeTokens } = decisionOf(weighed());
    expect([unit, cost, considered, chargeTokens]).toEqual([undefined, undefined, [], undefined]);
  });

  test("takes the prediction of the pick, and where it has none that of the explanation", () => {
    const explanations = [{ index: 2, cost: 1, terms: {}, predictedTtftMs: 70, cachedTokens: 7 }];
    const pick = { index: 2, chargeTokens: 4, predictedTtftMs: 50, predictedCachedTokens: 5 };
    const both = decisionOf(weighed({ explanations, pick }));
    expect([both.predictedTtftMs, both.predictedCachedTokens, both.chargeTokens]).toEqual([50, 5, 4]);
    const only = decisionOf(weighed({ explanations }));
    expect([only.predictedTtftMs, only.predictedCachedTokens]).toEqual([70, 7]);
  });
});

describe("what a policy expects of the candidates", () => {
  const base: Policy = { name: "p", pick: () => 0 };
  const three = idle(0, 0, 0);

  test("is its explanation, and then its costs are not asked", () => {
    const explanations = costing([1, 2, 3]);
    const costs = (): never => {
      throw new Error("asked");
    };
    expect(explanationsOf({ ...base, explain: () => explanations, costs }, three, requestWith())).toBe(explanations);
  });

  test("is its costs where it does not explain, without the candidates that it did not consider", () => {
    expect(explanationsOf({ ...base, costs: () => [Number.NaN, 5, Number.NaN] }, three, requestWith())).toEqual([
      { index: 1, cost: 5, terms: {} },
    ]);
  });

  test("is nothing where it has neither, or there is no candidate", () => {
    expect(explanationsOf(base, three, requestWith())).toEqual([]);
    expect(explanationsOf({ ...base, explain: () => costing([]) }, [], requestWith())).toEqual([]);
  });
});
