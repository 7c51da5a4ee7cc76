import { describe, expect, test } from "bun:test";
import { POLICIES } from "../policy/policies.ts";
import { BASELINES } from "./baselines/baselines.ts";
import { expandGroups, NAMED_POLICIES, policyFrom } from "./named-policies.ts";
import { PAIR_WAYS } from "./pair-ways.ts";

describe("the names of policies", () => {
  test("are each there once, our own first", () => {
    const names = NAMED_POLICIES.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const rows = [...POLICIES, ...BASELINES, ...PAIR_WAYS];
    expect(names).toEqual([...rows.map(({ name }) => name), "oracle", "late_oracle"]);
  });

  test("may be those of groups, without doubles and without the oracles", () => {
    expect(expandGroups(["own"])).toEqual(POLICIES.map(({ name }) => name));
    expect(expandGroups(["smg", "peers", "smg"])).toEqual(BASELINES.map(({ name }) => name));
    expect(expandGroups(["all"])).toHaveLength(POLICIES.length + BASELINES.length);
    expect(expandGroups(["pairs"])).toEqual(PAIR_WAYS.map(({ name }) => name));
    expect(expandGroups(["oracle", "random"])).toEqual(["oracle", "random"]);
  });

  test("each make a policy", () => {
    for (const { name } of NAMED_POLICIES) expect(policyFrom(name).name).toBe(name);
  });
});

describe("a policy of a text", () => {
  test("may have options, which its own schema checks", () => {
    expect(policyFrom("cache_aware:cache_threshold=0.5:max_tree_size=65536").name).toBe(
      "cache_aware:cache_threshold=0.5:max_tree_size=65536",
    );
    expect(() => policyFrom("cache_aware:cache_threshold=2")).toThrow("cache_threshold");
    expect(() => policyFrom("cache_aware:nonsense=1")).toThrow("nonsense");
    expect(() => policyFrom("cache_aware:cache_threshold")).toThrow("must be cache_aware:option=value");
    expect(() => policyFrom("smg:a=1")).toThrow("smg takes no options");
  });

  test("says of an option that stands there twice, or of a name in capitals, what is wrong", () => {
    const twice = "cache_aware:cache_threshold=0.5:cache_threshold=0.6";
    expect(() => policyFrom(twice)).toThrow("cache_aware has the option cache_threshold twice");
    expect(() => policyFrom("Least_TTFT")).toThrow("did you mean least_ttft?");
  });

  test("may be an alias, and an unknown one is told what was likely meant", () => {
    expect(policyFrom("consistent_hash").name).toBe("consistent_hash");
    expect(() => policyFrom("cache_awar")).toThrow('unknown policy "cache_awar"; did you mean cache_aware?');
  });
});
