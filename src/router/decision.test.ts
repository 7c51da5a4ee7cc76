import { expect, test } from "bun:test";
import { setUpFleet } from "../../test/support/fleet.ts";
import { decisionOf } from "./decision.ts";

function fleetOf(count: number): ReturnType<ReturnType<typeof setUpFleet>["add"]>[] {
  const fleet = setUpFleet();
  return Array.from({ length: count }, (_, index) => fleet.add(`http://w${index}:1`, { modelId: "m" }));
}

test("a decision names the chosen worker, its cost, and the candidates that were cheapest", () => {
  const candidates = fleetOf(40);
  const costs = candidates.map((_, index) => 100 - index);
  const decision = decisionOf({ policy: "p", candidates, index: 2, costs, pick: undefined });
  expect(decision).toMatchObject({ policy: "p", worker: "http://w2:1", candidates: 40, cost: 98 });
  expect(decision.cheapest.length).toBe(16);
  expect(decision.cheapest[0]).toEqual({ worker: "http://w39:1", cost: 61 });
});

test("candidates that the policy did not look at are not among the cheapest", () => {
  const decision = decisionOf({
    policy: "p",
    candidates: fleetOf(3),
    index: 1,
    costs: [Number.NaN, 5, Number.NaN],
    pick: { index: 1, chargeTokens: 4 },
  });
  expect(decision.cheapest).toEqual([{ worker: "http://w1:1", cost: 5 }]);
  expect([decision.cost, decision.chargeTokens]).toEqual([5, 4]);
});

test("of a policy that says no costs there are none", () => {
  for (const costs of [undefined, []]) {
    const decision = decisionOf({ policy: "p", candidates: fleetOf(2), index: 0, costs, pick: undefined });
    expect([decision.cost, decision.cheapest, decision.chargeTokens]).toEqual([undefined, [], undefined]);
  }
});
