import { expect, test } from "bun:test";
import { hiddenPatterns } from "./hidden-patterns.ts";

const patternsOf = (...globs: readonly string[]) =>
  globs.map((match) => ({ match, policy: "random" as const, config: {} }));

test("a pattern that an earlier one hides is told, with that one, in each list", () => {
  const modelPolicies = { patterns: patternsOf("llama-3", "llama-*", "qwen-*", "llama-70b", "*", "gpt-?") };
  const shadowPolicies = patternsOf("*", "llama-*");
  expect(hiddenPatterns({ modelPolicies, shadowPolicies })).toEqual([
    "model_policies.patterns[3] (llama-70b) is never used: llama-* before it matches the same models, and the first that matches counts",
    "model_policies.patterns[5] (gpt-?) is never used: * before it matches the same models, and the first that matches counts",
    "shadow_policies[1] (llama-*) is never used: * before it matches the same models, and the first that matches counts",
  ]);
  expect(
    hiddenPatterns({ modelPolicies: { patterns: modelPolicies.patterns.slice(0, 3) }, shadowPolicies: [] }),
  ).toEqual([]);
});
