import { describe, expect, test } from "bun:test";
import type { PolicyRow } from "../policy/define-policy.ts";
import { POLICIES } from "../policy/policies.ts";
import { optionDefault } from "./options.ts";
import { type ConfigKey, configSchema, optionMeta } from "./schema.ts";
import { keysOf } from "../util/objects.ts";

const ROWS: readonly PolicyRow[] = POLICIES;

function keyNamed(name: string): ConfigKey | undefined {
  return keysOf(configSchema.shape).find((key) => key === name);
}

test("each option of a policy is an option of the gateway, with the same default, documented behind the policy's name", () => {
  for (const { name, options } of ROWS) {
    for (const [option, schema] of Object.entries(options.shape)) {
      const key = keyNamed(option);
      if (key === undefined) throw new Error(`${option} is no option of the gateway`);
      expect(optionMeta(key).description).toMatch(new RegExp(`^([a-z_]+, )*${name}(, [a-z_]+)*: \\w`));
      expect(optionMeta(key).group).toBe("Routing");
      expect([option, optionDefault(key)]).toEqual([option, schema.parse(undefined)]);
    }
  }
});

describe("what a pattern gives its policy", () => {
  const configOf = (policy: string, config: object): object => ({
    modelPolicies: { patterns: [{ match: "*", policy, config }] },
  });
  const read = (policy: string, config: object): unknown =>
    configSchema.parse(configOf(policy, config)).modelPolicies.patterns[0]?.config;

  test("has no defaults: what is not given is as for the whole gateway", () => {
    expect(read("cache_aware", {})).toEqual({});
    expect(read("cache_aware", { maxTreeSize: 65_536 })).toEqual({ maxTreeSize: 65_536 });
  });

  test("is checked for a built-in policy", () => {
    for (const config of [{ cacheThreshold: 2 }, { cacheTreshold: 0.5 }, { cacheThreshold: "0.5" }]) {
      expect(configSchema.safeParse(configOf("cache_aware", config)).success).toBe(false);
    }
    expect(configSchema.safeParse(configOf("random", { cacheThreshold: 0.5 })).success).toBe(false);
  });

  test("passes as it is for the policy of a module, which reads it itself", () => {
    expect(read("mine", { ofMine: [1, { two: 2 }] })).toEqual({ ofMine: [1, { two: 2 }] });
  });
});
