import { describe, expect, test } from "bun:test";
import type { Candidate, RequestFeatures } from "./policy.ts";
import { matchesGlob } from "./glob.ts";
import { PolicyRegistry } from "./policy-registry.ts";

const policy = (name: string): { policy: string; config: Record<string, number> } => ({ policy: name, config: {} });
const workers: Candidate[] = [0, 1, 2].map((index) => ({
  id: `w${index}`,
  url: `http://w${index}`,
  slot: index,
  inFlight: 0,
  pendingPromptTokens: 0,
}));
const request: RequestFeatures = {
  model: "m",
  promptTokens: 1,
  promptBytes: () => new Uint8Array(0),
  routingKey: () => undefined,
};

function create(): PolicyRegistry {
  const registry = new PolicyRegistry({ defaultPolicy: policy("round_robin") });
  registry.registerPattern("llama-*", { policy: "cache_aware", config: { cacheThreshold: 0.7 } });
  registry.registerPattern("*-instruct", policy("shortest_queue"));
  return registry;
}

describe("a model's policy", () => {
  test("is its first worker's hint, before the first pattern that fits, before the default", () => {
    const registry = create();
    expect(registry.onWorkerAdded("llama-3", "random").name).toBe("random");
    expect(registry.onWorkerAdded("llama-3-instruct").name).toBe("cache_aware");
    expect(registry.onWorkerAdded("qwen-instruct").name).toBe("shortest_queue");
    expect(registry.onWorkerAdded("gpt").name).toBe("round_robin");
  });

  test("is an instance of its own: two models never share a counter", () => {
    const registry = create();
    const one = registry.onWorkerAdded("one");
    const two = registry.onWorkerAdded("two");
    expect([one.select(workers, request), one.select(workers, request)]).toEqual([0, 1]);
    expect(two.select(workers, request)).toBe(0);
    expect(registry.getDefaultPolicy().select(workers, request)).toBe(0);
  });

  test("is kept while it has workers, and made anew after its last one has left", () => {
    const registry = create();
    const first = registry.onWorkerAdded("m");
    expect(registry.onWorkerAdded("m", "random")).toBe(first);
    registry.onWorkerRemoved("m");
    expect(registry.getPolicy("m")).toBe(first);
    registry.onWorkerRemoved("m");
    expect(registry.getPolicy("m")).toBeUndefined();
    expect(registry.onWorkerAdded("m", "random").name).toBe("random");
  });
});

test("an unknown policy is refused by name, with the known ones", () => {
  const registry = create();
  expect(() => registry.onWorkerAdded("m", "nope")).toThrow('unknown policy "nope"; the policies are cache_aware');
  expect(() => registry.registerPattern("*", policy("nope"))).toThrow("unknown policy");
  expect(() => new PolicyRegistry({ defaultPolicy: policy("nope") })).toThrow("unknown policy");
});

test("a policy of the operator's can be default, pattern and hint", () => {
  const create = (): { name: string; select: () => number } => ({ name: "last", select: () => 2 });
  const registry = new PolicyRegistry({ defaultPolicy: policy("last"), custom: [{ name: "last", create }] });
  expect(registry.onWorkerAdded("m").select(workers, request)).toBe(2);
  expect(registry.onWorkerAdded("n", "last").name).toBe("last");
});

test("what it shows is what was configured and which model has what, and why", () => {
  const registry = create();
  registry.onWorkerAdded("llama-3");
  registry.onWorkerAdded("llama-3");
  expect(registry.describe()).toEqual({
    default: { policy: "round_robin", config: {} },
    patterns: [
      { match: "llama-*", policy: "cache_aware", config: { cacheThreshold: 0.7 } },
      { match: "*-instruct", policy: "shortest_queue", config: {} },
    ],
    models: [{ model: "llama-3", policy: "cache_aware", source: "pattern", workers: 2 }],
  });
});

describe("globs", () => {
  test("stars, question marks and plain letters", () => {
    const cases: readonly [string, string, boolean][] = [
      ["llama-*", "llama-3", true],
      ["llama-*", "my-llama-3", false],
      ["*-instruct", "qwen-instruct", true],
      ["*a*b*", "xxaxxbxx", true],
      ["*a*b*", "xxbxxaxx", false],
      ["gpt-?", "gpt-4", true],
      ["gpt-?", "gpt-41", false],
      ["meta/*", "meta/llama/3", true],
      ["*", "", true],
      ["a.b", "axb", false],
      ["Llama", "llama", false],
    ];
    for (const [pattern, text, fits] of cases)
      expect([pattern, text, matchesGlob(pattern, text)]).toEqual([pattern, text, fits]);
  });

  test("the worst pattern on a long name is quick", () => {
    const started = performance.now();
    expect(matchesGlob("*a".repeat(50), "a".repeat(40) + "b".repeat(50_000))).toBe(false);
    expect(performance.now() - started).toBeLessThan(100);
  });
});
