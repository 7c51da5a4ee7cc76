import { describe, expect, test } from "bun:test";
import { idleCandidate, requestWith } from "../../test/support/candidates.ts";
import { GatewayError } from "../errors/errors.ts";
import { GuardedPolicy, type PolicyFault, type PolicyMethod } from "./guarded-policy.ts";
import type { ModulePolicy, SelectingPolicy } from "./policy-module.ts";

const CANDIDATES = [0, 1].map(idleCandidate);

/** What the guard makes of a policy that returns this, and what it tells. */
function ask(select: () => unknown): { readonly outcome: unknown; readonly faults: readonly PolicyFault[] } {
  const faults: PolicyFault[] = [];
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what an operator writes need not be of the type
  const create = (): SelectingPolicy => ({ select }) as SelectingPolicy;
  const policy = new GuardedPolicy({ name: "mine", create, onFault: (fault) => faults.push(fault) });
  try {
    return { outcome: policy.pick(CANDIDATES, requestWith()), faults };
  } catch (error) {
    return { outcome: error instanceof GatewayError ? error.code : error, faults };
  }
}

test("an index of a candidate is passed on without a word, and -1 for none with one", () => {
  for (const index of [0, 1]) expect(ask(() => index)).toEqual({ outcome: index, faults: [] });
  const { outcome, faults } = ask(() => -1);
  expect([outcome, faults.map(({ what }) => what)]).toEqual([-1, ["select() chose none of 2 workers"]]);
});

test("what is no index of a candidate refuses the request and is named", () => {
  for (const [value, said] of [
    [2, "2"],
    [-2, "-2"],
    [Number.NaN, "NaN"],
    [0.5, "0.5"],
    ["0", '"0"'],
    [undefined, "undefined"],
    [null, "null"],
    [{}, "an object"],
  ] as const) {
    const { outcome, faults } = ask(() => value);
    expect([value, outcome, faults.map(({ what }) => what)]).toEqual([
      value,
      "policy_failed",
      [`select() returned ${said} and should return an index from 0 to 1, or -1 for none`],
    ]);
  }
});

test("a Promise is named as one, and one that is rejected does not end the process", async () => {
  const { outcome, faults } = ask(() => Promise.reject(new Error("later")));
  expect([outcome, faults.length]).toEqual(["policy_failed", 1]);
  expect(faults[0]?.what).toContain("returned a Promise");
  await Bun.sleep(0);
});

test("what select() throws is told with its place, whatever it is", () => {
  const { outcome, faults } = ask(() => {
    throw new Error("boom");
  });
  expect([outcome, faults[0]?.what]).toEqual(["policy_failed", "select() threw Error: boom"]);
  expect(faults[0]?.stack).toContain("guarded-policy.test.ts:");
  const bare = ask(() => {
    // oxlint-disable-next-line typescript/only-throw-error -- an operator's policy may
    throw null;
  });
  expect([bare.outcome, bare.faults[0]?.what]).toEqual(["policy_failed", "select() threw null"]);
});

test("create() that throws, and forget() that throws, are told and stop nothing but this policy's requests", () => {
  const faults: string[] = [];
  const onFault = ({ what }: PolicyFault): void => void faults.push(what);
  const broken = new GuardedPolicy({
    name: "mine",
    create: () => {
      throw new Error("not now");
    },
    onFault,
  });
  expect(() => broken.pick(CANDIDATES, requestWith())).toThrow("the routing policy of this model failed");
  const forgetful = new GuardedPolicy({
    name: "mine",
    create: () => ({
      name: "mine",
      select: () => 0,
      forget: () => {
        throw new Error("cannot forget");
      },
    }),
    onFault,
  });
  forgetful.forget("w0", 0);
  expect(forgetful.pick(CANDIDATES, requestWith())).toBe(0);
  expect(faults).toEqual(["create() threw Error: not now", "forget() threw Error: cannot forget"]);
});

interface Guarded {
  readonly policy: GuardedPolicy;
  /** What it was said to do wrong. */
  readonly said: string[];
  /** Methods that ran, each with whether it had ended when the next one began. */
  readonly ran: (PolicyMethod | "left")[];
}

/** The guard around a policy of a module, whatever that is. */
function guard(inner: object): Guarded {
  const said: string[] = [];
  const ran: Guarded["ran"] = [];
  const policy = new GuardedPolicy({
    name: "mine",
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what an operator writes need not be of the type
    create: () => inner as ModulePolicy,
    onFault: ({ what }) => void said.push(what),
    watch: { enter: (method) => void ran.push(method), leave: () => void ran.push("left") },
  });
  return { policy, said, ran };
}

const END = { outcome: "answered", ms: 5, usage: undefined } as const;

describe("pick() of a module", () => {
  test("may return an index, or a choice that says more, which keeps its hooks", () => {
    const heard: unknown[] = [];
    const choice = {
      index: 1,
      chargeTokens: 12,
      onFirstToken: (ms: number) => void heard.push(ms),
      onEnd: (end: object) => void heard.push(end),
    };
    expect(guard({ pick: () => 1 }).policy.pick(CANDIDATES, requestWith())).toBe(1);
    const picked = guard({ pick: () => choice }).policy.pick(CANDIDATES, requestWith());
    if (typeof picked === "number") throw new Error("no object");
    expect([picked.index, picked.chargeTokens]).toEqual([1, 12]);
    picked.onFirstToken?.(3);
    picked.onEnd?.(END);
    expect(heard).toEqual([3, END]);
  });

  test("is called on its own object, and comes before select()", () => {
    class Mine {
      readonly best = 1;
      pick(): number {
        return this.best;
      }
      select(): number {
        return 0;
      }
    }
    expect(guard(new Mine()).policy.pick(CANDIDATES, requestWith())).toBe(1);
  });

  test("refuses the request with a Promise, which may be rejected", async () => {
    const { policy, said } = guard({ pick: () => Promise.reject(new Error("later")) });
    expect(() => policy.pick(CANDIDATES, requestWith())).toThrow("the routing policy of this model failed");
    expect(said[0]).toContain("pick() returned a Promise (pick() is called synchronously)");
    await Bun.sleep(0);
  });

  test("refuses the request with what is no choice, and says so", () => {
    const hook = (): void => undefined;
    for (const wrong of [
      { index: 2 },
      { index: "0" },
      { chosen: 0 },
      { index: 0, chargeTokens: -1 },
      { index: 0, chargeTokens: 0.5 },
      { index: 0, chargeTokens: Number.POSITIVE_INFINITY },
      { index: 0, chargeTokens: 2 ** 24 + 1 },
      { index: 0, onEnd: "later" },
      { index: 0, onFirstToken: 7, onEnd: hook },
      {
        get index(): number {
          throw new Error("no index today");
        },
      },
    ]) {
      const { policy, said } = guard({ pick: () => wrong });
      expect(() => policy.pick(CANDIDATES, requestWith())).toThrow("the routing policy of this model failed");
      expect(said).toEqual([expect.stringMatching(/^pick\(\) (returned an object|threw Error: no index)/)]);
    }
  });
});

describe("hooks of a module", () => {
  const hooked = (hook: () => unknown): Guarded =>
    guard({ pick: () => ({ index: 0, onFirstToken: hook, onEnd: hook }), costs: hook, forget: hook });
  const callAll = ({ policy }: Guarded): readonly number[] => {
    const picked = policy.pick(CANDIDATES, requestWith());
    if (typeof picked === "number") throw new Error("no object");
    picked.onFirstToken?.(1);
    picked.onEnd?.(END);
    policy.forget("w0", 0);
    return policy.costs(CANDIDATES, requestWith());
  };

  test("that throw are said, and nothing else comes of it", () => {
    const guarded = hooked(() => {
      throw new Error("boom");
    });
    expect(callAll(guarded)).toEqual([]);
    expect(guarded.said).toEqual(
      ["onFirstToken", "onEnd", "forget", "costs"].map((method) => `${method}() threw Error: boom`),
    );
  });

  test("that return a Promise are said, and one that is rejected does not end the process", async () => {
    const guarded = hooked(() => Promise.reject(new Error("later")));
    expect(callAll(guarded)).toEqual([]);
    expect(guarded.said.length).toBe(4);
    expect(guarded.said[1]).toContain("onEnd() returned a Promise");
    await Bun.sleep(0);
  });

  test("run under watch, each by its name, and the watch is told when they end however they do", () => {
    const guarded = hooked(() => {
      throw new Error("boom");
    });
    callAll(guarded);
    const methods = ["pick", "onFirstToken", "onEnd", "forget", "costs"] as const;
    expect(guarded.ran).toEqual(methods.flatMap((method) => [method, "left" as const]));
  });

  test("are none where the choice has none", () => {
    const { policy, said } = guard({ pick: () => ({ index: 0 }) });
    const picked = policy.pick(CANDIDATES, requestWith());
    if (typeof picked === "number") throw new Error("no object");
    picked.onFirstToken?.(1);
    picked.onEnd?.(END);
    policy.forget("w0", 0);
    expect([policy.costs(CANDIDATES, requestWith()), said]).toEqual([[], []]);
  });
});

test("costs of a module are one number for each candidate, or none at all", () => {
  expect(guard({ pick: () => 0, costs: () => [1, Number.NaN] }).policy.costs(CANDIDATES, requestWith())).toEqual([
    1,
    Number.NaN,
  ]);
  for (const wrong of [[1], [1, "2"], 7, "cheap"]) {
    const { policy, said } = guard({ pick: () => 0, costs: () => wrong });
    expect(policy.costs(CANDIDATES, requestWith())).toEqual([]);
    expect(said[0]).toContain("and should return 2 numbers");
  }
});

describe("explanations of a module", () => {
  const explaining = (explain: () => unknown): Guarded =>
    guard({ pick: () => 0, costs: () => [3, Number.NaN], explain });

  test("are what it says of the candidates", () => {
    const one = { index: 1, cost: 0.5, terms: { waiting: 0.5 }, predictedTtftMs: 500 };
    expect(explaining(() => [one]).policy.explain(CANDIDATES, requestWith())).toEqual([one]);
  });

  test("are its costs where it has none", () => {
    const { policy } = guard({ pick: () => 0, costs: () => [3, Number.NaN] });
    expect(policy.explain(CANDIDATES, requestWith())).toEqual([{ index: 0, cost: 3, terms: {} }]);
  });

  test("that make no sense are said, and its costs take their place", () => {
    for (const wrong of [
      7,
      {},
      [{ index: 2, cost: 1, terms: {} }],
      [{ index: 0, cost: "1", terms: {} }],
      [{ index: 0, cost: 1, terms: { waiting: "long" } }],
      [{ index: 0, cost: 1, terms: {}, predictedTtftMs: -1 }],
    ]) {
      const { policy, said } = explaining(() => wrong);
      expect(policy.explain(CANDIDATES, requestWith())).toEqual([{ index: 0, cost: 3, terms: {} }]);
      expect(said[0]).toMatch(/^explain\(\) returned (7|an object) and should return a list/);
    }
  });
});

test("predictions of a module pass on, and one that is no number refuses the request", () => {
  const picked = guard({ pick: () => ({ index: 0, predictedTtftMs: 12.5, predictedCachedTokens: 7 }) }).policy.pick(
    CANDIDATES,
    requestWith(),
  );
  expect(picked).toMatchObject({ predictedTtftMs: 12.5, predictedCachedTokens: 7 });
  for (const predictedTtftMs of [-1, "12", Number.NaN, Number.POSITIVE_INFINITY]) {
    const { policy } = guard({ pick: () => ({ index: 0, predictedTtftMs }) });
    expect(() => policy.pick(CANDIDATES, requestWith())).toThrow("the routing policy of this model failed");
  }
});

test("news of caches reach a module that takes them, and a fault there is told; one that takes none has no method for them", () => {
  const news: unknown[] = [];
  const { policy, said } = guard({
    pick: () => 0,
    cacheNews: (slot: number, one: unknown) => {
      if (slot === 2) throw new Error("no such slot");
      news.push([slot, one]);
    },
  });
  policy.cacheNews?.(1, { kind: "exact", isExact: true });
  policy.cacheNews?.(2, { kind: "cleared" });
  expect(news).toEqual([[1, { kind: "exact", isExact: true }]]);
  expect(said).toEqual(["cacheNews() threw Error: no such slot"]);
  expect(guard({ pick: () => 0 }).policy.cacheNews).toBeUndefined();
});
