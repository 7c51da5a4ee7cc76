import { expect, test } from "bun:test";
import { policyLabels } from "./policy-labels.ts";

test("variants of a policy are told apart, also where the option that differs stands in the middle", () => {
  const names = [
    "smg",
    "cache_aware:cache_threshold=0.5:max_tree_size=90000",
    "cache_aware:cache_threshold=0.6:max_tree_size=90000",
  ];
  expect([...policyLabels(names, 25).values()]).toEqual([
    "smg",
    "cache_aware:…hreshold=0.5",
    "cache_aware:…hreshold=0.6",
  ]);
});

test("a policy has all of its options where it stands alone, or beside itself without them", () => {
  const alone = "least_ttft:max_tree_size=100000";
  expect(policyLabels([alone, "smg"], 40).get(alone)).toBe(alone);
  expect([...policyLabels([alone, "least_ttft"], 40).values()]).toEqual([alone, "least_ttft"]);
});
