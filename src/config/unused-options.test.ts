import { describe, expect, test } from "bun:test";
import { POLICIES } from "../policy/policies.ts";
import { snakeCase } from "../util/case.ts";
import { loadConfig, NO_FLAGS } from "./load.ts";
import { optionDefault } from "./options.ts";
import { type ConfigKey, configSchema } from "./schema.ts";

function notices(text: string): readonly string[] {
  return loadConfig({ document: { name: "f.yaml", text: `host: 127.0.0.1\n${text}` }, env: {}, flags: NO_FLAGS })
    .notices;
}

describe("an option", () => {
  test("of a policy that nothing names is told, with the policies in use and those that it belongs to", () => {
    expect(notices("cache_threshold: 0.7\n")).toEqual([
      "cache_threshold has no effect with the policy least_ttft: it is an option of cache_aware",
    ]);
    expect(notices("default_policy: random\nshadow_policy: manual\nbalance_abs_threshold: 9\n")).toEqual([
      "balance_abs_threshold has no effect with the policies random and manual: it is an option of cache_aware and bucket",
    ]);
  });

  test("that is as it would be anyway is told as well where it was written, and not where it was not", () => {
    expect(notices("cache_threshold: 0.3\n")).toHaveLength(1);
    expect(notices("default_policy: random\n")).toEqual([]);
  });

  test("of a policy that is named somewhere has an effect: as default, of a role, a pattern, a shadow, a worker or by another name", () => {
    const option = "cache_threshold: 0.7\n";
    for (const named of [
      "default_policy: cache_aware\n",
      "enable_igw: true\nprefill_policy: cache_aware\n",
      "model_policies: { patterns: [{ match: a*, policy: cache_aware }] }\n",
      "shadow_policy: cache_aware\n",
      "initial_workers: [{ url: http://a:1, labels: { policy: cache_aware } }]\n",
    ]) {
      expect([named, notices(named + option)]).toEqual([named, []]);
    }
  });

  test("of sessions has an effect with sticky_sessions, whatever the policy", () => {
    expect(notices("max_sessions: 100\n")).toEqual([
      "max_sessions has no effect with the policy least_ttft: it is an option of manual and sticky_sessions",
    ]);
    expect(notices("sticky_override_secs: 2\n")).toEqual([
      "sticky_override_secs has no effect without sticky_sessions",
    ]);
    expect(notices("max_sessions: 100\nsticky_override_secs: 2\nsticky_sessions: true\n")).toEqual([]);
  });

  test("of prefill and decode has none where all workers are regular", () => {
    expect(notices("prefill_policy: random\n")).toEqual([
      "prefill_policy has no effect without pd_disaggregation or enable_igw",
    ]);
    expect(notices("prefill_policy: random\npd_disaggregation: true\n")).toEqual([]);
  });

  test("of each policy is told with another policy, and not with its own", () => {
    for (const { name, options } of POLICIES) {
      const other = name === "random" ? "round_robin" : "random";
      for (const key of Object.keys(options.shape) as ConfigKey[]) {
        expect(Object.keys(configSchema.shape)).toContain(key);
        const line = `${snakeCase(key)}: ${String(optionDefault(key))}\n`;
        expect([key, notices(`default_policy: ${name}\n${line}`)]).toEqual([key, []]);
        const [told] = notices(`default_policy: ${other}\n${line}`);
        expect(told).toStartWith(`${snakeCase(key)} has no effect with the policy ${other}: it is an option of `);
        expect(told).toContain(name);
      }
    }
  });
});
