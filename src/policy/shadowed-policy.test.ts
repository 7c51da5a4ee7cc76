import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { candidates, createPolicy, requestWith } from "../../test/support/candidates.ts";
import { GatewayError } from "../errors/errors.ts";
import { leastTtft } from "./least-ttft/least-ttft.ts";
import type { PickEnd, Picked, Policy } from "./policy.ts";
import { type ShadowChoice, ShadowedPolicy } from "./shadowed-policy.ts";

const THREE = candidates(0, 0, 0);
const END: PickEnd = { outcome: "answered", ms: 50, usage: undefined };

/** A policy that chooses this worker among several, and writes down what it is asked and hears. */
class Playing implements Policy {
  readonly name: string;
  readonly heard: string[] = [];
  readonly #slot: number;

  constructor(name: string, slot: number) {
    this.name = name;
    this.#slot = slot;
  }

  pick(among: Parameters<Policy["pick"]>[0]): number | Picked {
    const index = among.length === 1 ? 0 : this.#slot;
    const slot = among[index]?.slot ?? -1;
    this.heard.push(`pick ${slot} of ${among.length}`);
    return {
      index,
      onFirstToken: (ms) => void this.heard.push(`first token at ${slot} after ${ms}`),
      onEnd: ({ outcome }) => void this.heard.push(`${outcome} at ${slot}`),
    };
  }

  forget(workerId: string): void {
    this.heard.push(`forget ${workerId}`);
  }
}

/** Says that the worker of each slot costs so many seconds. */
function judging(costs: readonly number[]): Policy {
  return {
    name: "judge",
    costUnit: "s",
    pick: () => 0,
    costs: (among) => among.map(({ slot }) => costs[slot] ?? Number.NaN),
  };
}

interface Setup {
  readonly policy: ShadowedPolicy;
  readonly choices: ShadowChoice[];
  readonly faults: string[];
}

function setUp(real: Policy, shadow: Policy, judge: Policy = judging([1, 2, 4])): Setup {
  const choices: ShadowChoice[] = [];
  const faults: string[] = [];
  const policy = new ShadowedPolicy({
    real,
    shadow,
    judge,
    onChoice: (choice) => choices.push(choice),
    onFault: (name, error) => faults.push(`${name}: ${String(error)}`),
  });
  return { policy, choices, faults };
}

function pickedBy({ policy }: Setup, among = THREE): Picked {
  const picked = policy.pick(among, requestWith());
  return typeof picked === "number" ? { index: picked } : picked;
}

/** What a policy may have, and whether it has it with a shadow as well. The policies of pairs have no shadow; costs come with `explain`. */
const WITH_SHADOW: Readonly<Record<keyof Policy, boolean>> = {
  name: true,
  pick: true,
  costs: false,
  explain: true,
  pairsWith: false,
  pickPair: false,
  explainPair: false,
  costUnit: true,
  keepsSessions: true,
  lastReason: true,
  hear: true,
  cacheTrust: true,
  forget: true,
  cacheNews: true,
};

describe("a shadow", () => {
  test("takes nothing from the real policy: all that the gateway asks it is answered as without a shadow", () => {
    const real = createPolicy(leastTtft);
    const { policy } = setUp(real, new Playing("shadow", 0));
    for (const [member, isThere] of Object.entries(WITH_SHADOW))
      expect([member, member in policy]).toEqual([member, isThere]);
    expect(policy.cacheTrust(1)).toBe(real.cacheTrust?.(1));
    expect(policy.cacheTrust(1)).toBe(1);
    expect(setUp(new Playing("real", 0), real).policy.cacheTrust(1)).toBeUndefined();
  });

  test("decides nothing: requests go where the real policy says", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 }), fc.integer({ min: -1, max: 3 }), (real, shadow) => {
        const setup = setUp({ name: "real", pick: () => real }, { name: "shadow", pick: () => shadow });
        expect(pickedBy(setup).index).toBe(real);
      }),
    );
  });

  test("that would choose another worker is counted with what both choices cost", () => {
    const setup = setUp(new Playing("real", 0), new Playing("shadow", 2));
    pickedBy(setup);
    expect(setup.choices).toEqual([{ outcome: "other", realCostS: 1, shadowCostS: 4 }]);
  });

  test("that would choose the same worker costs the same", () => {
    const setup = setUp(new Playing("real", 1), new Playing("shadow", 1));
    pickedBy(setup);
    expect(setup.choices).toEqual([{ outcome: "same", realCostS: 2, shadowCostS: 2 }]);
  });

  test("is told that its own choice is not sent, and follows the real one to its end", () => {
    const shadow = new Playing("shadow", 2);
    const picked = pickedBy(setUp(new Playing("real", 0), shadow));
    picked.onFirstToken?.(30);
    picked.onEnd?.(END);
    expect(shadow.heard).toEqual([
      "pick 2 of 3",
      "unsent at 2",
      "pick 0 of 1",
      "first token at 0 after 30",
      "answered at 0",
    ]);
  });

  test("leaves the real policy's own hooks, charge and reason as they are", () => {
    const heard: (number | PickEnd)[] = [];
    const own: Picked = {
      index: 1,
      chargeTokens: 40,
      contextTokens: 50,
      predictedTtftMs: 12,
      predictedCachedTokens: 10,
      reason: "lowest_cost",
      onFirstToken: (ms) => void heard.push(ms),
      onEnd: (end) => void heard.push(end),
    };
    const picked = pickedBy(setUp({ name: "real", pick: () => own }, new Playing("shadow", 0)));
    picked.onFirstToken?.(30);
    picked.onEnd?.(END);
    expect(heard).toEqual([30, END]);
    const { index, chargeTokens, contextTokens, predictedTtftMs, predictedCachedTokens, reason } = picked;
    expect([index, chargeTokens, contextTokens, predictedTtftMs, predictedCachedTokens, reason]).toEqual([
      1,
      40,
      50,
      12,
      10,
      "lowest_cost",
    ]);
  });

  test("has no choice where there is one candidate, and is told of the request all the same", () => {
    const shadow = new Playing("shadow", 2);
    const setup = setUp({ name: "real", pick: () => 0 }, shadow);
    pickedBy(setup, candidates(0)).onEnd?.(END);
    expect([setup.choices, shadow.heard]).toEqual([[], ["pick 0 of 1", "answered at 0"]]);
  });

  test("is not asked where the real policy chooses nobody", () => {
    const shadow = new Playing("shadow", 2);
    const setup = setUp({ name: "real", pick: () => -1 }, shadow);
    expect([pickedBy(setup).index, shadow.heard, setup.choices]).toEqual([-1, [], []]);
  });

  test("that chooses nobody is counted as that", () => {
    const setup = setUp(new Playing("real", 0), { name: "shadow", pick: () => -1 });
    pickedBy(setup);
    expect(setup.choices).toEqual([{ outcome: "none", realCostS: undefined, shadowCostS: undefined }]);
  });

  test("forgets workers as the real policy does", () => {
    const [real, shadow, judge] = [new Playing("real", 0), new Playing("shadow", 0), new Playing("judge", 0)];
    setUp(real, shadow, judge).policy.forget("w1", 1);
    expect([real, shadow, judge].map(({ heard }) => heard)).toEqual([["forget w1"], ["forget w1"], ["forget w1"]]);
  });
});

describe("errors of a shadow", () => {
  const broken = (): never => {
    throw new Error("boom");
  };

  test("in its choice are told and counted, and the request goes on", () => {
    const setup = setUp(new Playing("real", 1), { name: "shadow", pick: broken });
    expect(pickedBy(setup).index).toBe(1);
    expect(setup.choices.map(({ outcome }) => outcome)).toEqual(["failed"]);
    expect(new Set(setup.faults)).toEqual(new Set(["shadow: Error: boom"]));
  });

  test("in its hooks are told, and the real policy has heard before", () => {
    const real = new Playing("real", 1);
    const setup = setUp(real, { name: "shadow", pick: () => ({ index: 0, onFirstToken: broken, onEnd: broken }) });
    // Its own choice is not sent, which it is told first.
    expect(setup.faults).toEqual([]);
    const picked = pickedBy(setup);
    picked.onFirstToken?.(1);
    picked.onEnd?.(END);
    expect(real.heard).toEqual(["pick 1 of 3", "first token at 1 after 1", "answered at 1"]);
    expect(setup.faults.length).toBe(3);
  });

  test("in anything else that it is told are told, and the real policy and the judge have heard", () => {
    const heard: string[] = [];
    const hearing = (name: string): Policy => ({
      name,
      pick: () => 0,
      hear: () => void heard.push(`${name} hear`),
      cacheNews: () => void heard.push(`${name} news`),
      forget: () => void heard.push(`${name} forget`),
    });
    const shadow: Policy = { name: "shadow", pick: () => 0, hear: broken, cacheNews: broken, forget: broken };
    const setup = setUp(hearing("real"), shadow, hearing("judge"));
    const prompt = { workTokens: 1, contextTokens: 1, hashes: new Int32Array(0), bytes: 0 };
    setup.policy.hear({ kind: "ended", gateway: "g", request: 1, workerId: "w1", at: 0, ...prompt }, []);
    setup.policy.cacheNews?.(1, { kind: "cleared" });
    setup.policy.forget("w1", 1);
    expect(heard).toEqual(["real hear", "judge hear", "real news", "judge news", "real forget", "judge forget"]);
    expect(setup.faults).toEqual(["shadow: Error: boom", "shadow: Error: boom", "shadow: Error: boom"]);
  });

  test("that an operator's module has told of itself are not told twice", () => {
    const refused = (): never => {
      throw new GatewayError("policy_failed", "the routing policy failed");
    };
    const setup = setUp(new Playing("real", 1), { name: "shadow", pick: refused });
    pickedBy(setup);
    expect([setup.faults, setup.choices.map(({ outcome }) => outcome)]).toEqual([[], ["failed"]]);
  });

  test("of a judge leave the comparison without costs", () => {
    const setup = setUp(new Playing("real", 0), new Playing("shadow", 1), {
      name: "judge",
      pick: broken,
      costs: broken,
    });
    expect(pickedBy(setup).index).toBe(0);
    expect(setup.choices).toEqual([{ outcome: "other", realCostS: undefined, shadowCostS: undefined }]);
  });
});

test("what the policy expects is the real policy's word, with or without terms", () => {
  const terms = [{ index: 0, cost: 1, terms: { waiting: 1 } }];
  const explaining = setUp({ name: "real", costUnit: "s", pick: () => 0, explain: () => terms }, new Playing("s", 0));
  expect([explaining.policy.explain(THREE, requestWith()), explaining.policy.costUnit]).toEqual([terms, "s"]);
  const pricing = setUp({ name: "real", pick: () => 0, costs: () => [3, Number.NaN, 5] }, new Playing("s", 0));
  expect(pricing.policy.explain(THREE, requestWith())).toEqual([
    { index: 0, cost: 3, terms: {} },
    { index: 2, cost: 5, terms: {} },
  ]);
});

test("news of caches reaches all that read it, and is not asked for where nobody does", () => {
  const read: string[] = [];
  const reading = (name: string): Policy => ({
    name,
    pick: () => 0,
    cacheNews: (slot) => void read.push(`${name} ${slot}`),
  });
  setUp(reading("real"), reading("shadow"), judging([])).policy.cacheNews?.(2, { kind: "cleared" });
  expect(read).toEqual(["real 2", "shadow 2"]);
  expect(setUp(new Playing("real", 0), new Playing("shadow", 0)).policy.cacheNews).toBeUndefined();
});
