import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type ModelRoute, ModelPlans, type PlannedRequest, type RouteTarget, type TargetMatch } from "./model-plans.ts";

const ANY: TargetMatch = { header: undefined, routingKey: undefined, client: undefined };

function target(model: string, share = 1, match?: Partial<TargetMatch>): RouteTarget {
  return { model, share, match: match && { ...ANY, ...match } };
}

function route(name: string, targets: readonly RouteTarget[], fallbacks: readonly string[] = []): ModelRoute {
  return { name, targets, fallbacks, isListed: true };
}

interface Asked {
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function asking(model: string | undefined, { key, headers = {} }: Asked = {}): PlannedRequest {
  return { model, headers: new Headers(headers), features: { routingKey: () => key } };
}

function modelsOf(plans: ModelPlans, model: string, asked?: Asked, client = "everybody"): readonly string[] {
  return plans.planFor(asking(model, asked), client)?.models ?? [];
}

test("a name that is no route's has no plan, nor has a request without a model", () => {
  const plans = new ModelPlans([route("gpt-4", [target("llama")])]);
  expect(plans.planFor(asking("llama"), "c")).toBeUndefined();
  expect(plans.planFor(asking(undefined), "c")).toBeUndefined();
});

test("an alias is one model, and its plan is made once", () => {
  const plans = new ModelPlans([route("gpt-4", [target("llama")])]);
  const plan = plans.planFor(asking("gpt-4"), "c");
  expect(plan).toEqual({ route: "gpt-4", models: ["llama"] });
  expect(plans.planFor(asking("gpt-4"), "c")).toBe(plan);
});

test("fallbacks come in their order, those of the target before those of the route, and no model twice", () => {
  const plans = new ModelPlans([
    route("gpt-4", [target("big")], ["small", "llama", "other"]),
    route("big", [target("llama")], ["llama-old", "small"]),
  ]);
  expect(modelsOf(plans, "gpt-4")).toEqual(["llama", "llama-old", "small", "other"]);
});

test("a route's own name among its targets is the model of that name", () => {
  const plans = new ModelPlans([route("llama", [target("llama")], ["small"])]);
  expect(modelsOf(plans, "llama")).toEqual(["llama", "small"]);
});

test("two models may stand in for each other", () => {
  const plans = new ModelPlans([route("a", [target("a")], ["b"]), route("b", [target("b")], ["a"])]);
  expect([modelsOf(plans, "a"), modelsOf(plans, "b")]).toEqual([
    ["a", "b"],
    ["b", "a"],
  ]);
});

describe("a target with a match takes the requests that match", () => {
  const plans = new ModelPlans([
    route("m", [
      target("stable"),
      target("by-header", 0, { header: { name: "x-canary", value: "al*" } }),
      target("by-key", 0, { routingKey: "team-*" }),
      target("by-client", 0, { client: "tests" }),
      target("by-both", 0, { client: "qa", routingKey: "qa-*" }),
    ]),
  ]);
  test("by a header", () => {
    expect(modelsOf(plans, "m", { headers: { "x-canary": "always" } })).toEqual(["by-header"]);
    expect(modelsOf(plans, "m", { headers: { "x-canary": "never" } })).toEqual(["stable"]);
  });
  test("by the routing key", () => {
    expect(modelsOf(plans, "m", { key: "team-7" })).toEqual(["by-key"]);
  });
  test("by the client's key", () => {
    expect(modelsOf(plans, "m", {}, "tests")).toEqual(["by-client"]);
  });
  test("by all that it names together", () => {
    expect(modelsOf(plans, "m", {}, "qa")).toEqual(["stable"]);
    expect(modelsOf(plans, "m", { key: "qa-1" }, "qa")).toEqual(["by-both"]);
  });
  test("the first where several match, and nobody else where none does", () => {
    expect(modelsOf(plans, "m", { key: "team-7", headers: { "x-canary": "all" } }, "tests")).toEqual(["by-header"]);
    expect(modelsOf(plans, "m")).toEqual(["stable"]);
  });
});

test("without a routing key requests are divided by the shares", () => {
  let next = 0;
  const plans = new ModelPlans([route("m", [target("a", 0.7), target("b", 0.3)])], () => next);
  const at = (random: number): string | undefined => {
    next = random;
    return modelsOf(plans, "m")[0];
  };
  expect([0, 0.69, 0.71, 0.999_999].map(at)).toEqual(["a", "a", "b", "b"]);
});

describe("a routing key keeps its target", () => {
  const keys = Array.from({ length: 4000 }, (_, index) => `session-${index}`);
  const of = (shares: readonly number[], name = "m"): ModelPlans =>
    new ModelPlans(
      [
        route(
          name,
          shares.map((share, index) => target(`t${index}`, share)),
        ),
      ],
      () => {
        throw new Error("a request with a key is not drawn");
      },
    );

  test("in each request, and in each gateway", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.integer({ min: 1, max: 99 }), (key, percent) => {
        const shares = [percent / 100, 1 - percent / 100];
        expect(modelsOf(of(shares), "m", { key })).toEqual(modelsOf(of(shares), "m", { key }));
      }),
    );
  });

  test("each target has its share of the keys", () => {
    const plans = of([0.05, 0.25, 0.7]);
    const counts = [0, 0, 0];
    for (const key of keys) {
      const index = Number(modelsOf(plans, "m", { key })[0]?.slice(1));
      counts[index] = (counts[index] ?? 0) + 1;
    }
    // Standard deviations: 0.34 %, 0.68 % and 0.72 % of the keys.
    for (const [index, share] of [0.05, 0.25, 0.7].entries()) {
      expect(Math.abs((counts[index] ?? 0) / keys.length - share)).toBeLessThan(0.03);
    }
  });

  test("a canary that grows takes keys from the others and gives none away", () => {
    const [small, large] = [of([0.05, 0.475, 0.475]), of([0.2, 0.4, 0.4])];
    let taken = 0;
    for (const key of keys) {
      const [before, after] = [modelsOf(small, "m", { key })[0], modelsOf(large, "m", { key })[0]];
      if (before === after) continue;
      expect(after).toBe("t0");
      taken += 1;
    }
    expect(taken / keys.length).toBeGreaterThan(0.1);
    expect(taken / keys.length).toBeLessThan(0.2);
  });

  test("routes are divided apart, so that a key is not the canary of all", () => {
    const [one, other] = [of([0.1, 0.9], "one"), of([0.1, 0.9], "other")];
    const both = keys.filter(
      (key) => modelsOf(one, "one", { key })[0] === "t0" && modelsOf(other, "other", { key })[0] === "t0",
    );
    expect(both.length / keys.length).toBeLessThan(0.03);
  });
});

test("what may answer for a route are the models at the ends of its ways", () => {
  const plans = new ModelPlans([
    route("gpt-4", [target("big", 0.9), target("next", 0.1)], ["spare", "other"]),
    route("big", [target("llama"), target("big", 0)]),
    route("spare", [target("small")]),
  ]);
  const [gpt] = plans.routes;
  if (!gpt) throw new Error("no route");
  expect(plans.targetsOf(gpt)).toEqual(["llama", "big", "next"]);
  expect(plans.fallbacksOf(gpt)).toEqual(["small", "other"]);
});
