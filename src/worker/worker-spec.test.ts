import { describe, expect, test } from "bun:test";
import { Secret } from "../util/secret.ts";
import { DEFAULT_SPEC, isProbedAlike, isSameSpec, type WorkerSpec } from "./worker-spec.ts";

const before: WorkerSpec = {
  ...DEFAULT_SPEC,
  url: "http://a:1",
  modelId: "m",
  apiKey: new Secret("k"),
  labels: { zone: "a", rack: "1" },
  health: { intervalMs: 1000 },
};

describe("two specs", () => {
  test("are the same where they say the same, in whatever order and in whichever objects", () => {
    const after = {
      ...before,
      apiKey: new Secret("k"),
      labels: { rack: "1", zone: "a" },
      health: { intervalMs: 1000 },
    };
    expect(isSameSpec(before, after)).toBe(true);
  });

  const changes: readonly [what: string, change: Partial<WorkerSpec>, isAskedAnew: boolean][] = [
    ["the model", { modelId: "other" }, true],
    ["no model any more", { modelId: undefined }, true],
    ["the key", { apiKey: new Secret("other") }, true],
    ["no key any more", { apiKey: undefined }, true],
    ["what it does of a request", { workerType: "prefill" }, true],
    ["a health setting", { health: { intervalMs: 2000 } }, true],
    ["one more health setting", { health: { intervalMs: 1000, disabled: true } }, true],
    ["another health setting", { health: { timeoutMs: 1000 } }, true],
    ["the source", { source: "file" }, false],
    ["the bootstrap port", { bootstrapPort: 1 }, false],
    ["the policy", { policyHint: "random" }, false],
    ["a label", { labels: { zone: "b", rack: "1" } }, false],
    ["a label less", { labels: { zone: "a" } }, false],
    ["the priority", { priority: 1 }, false],
    ["the cost", { cost: 2 }, false],
  ];
  for (const [what, change, isAskedAnew] of changes) {
    test(`differ by ${what}, and the worker is ${isAskedAnew ? "" : "not "}asked anew for it`, () => {
      const after = { ...before, ...change };
      expect([isSameSpec(before, after), isSameSpec(after, before)]).toEqual([false, false]);
      expect([isProbedAlike(before, after), isProbedAlike(after, before)]).toEqual([!isAskedAnew, !isAskedAnew]);
    });
  }
});
