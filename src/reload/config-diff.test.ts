import { describe, expect, test } from "bun:test";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import { type Config, configSchema } from "../config/schema.ts";
import { Secret } from "../util/secret.ts";
import { keysOf } from "../util/objects.ts";
import { differencesOf, inWords } from "./config-diff.ts";

function config(text: string): Config {
  return loadConfig({ document: { name: "f.yaml", text }, env: {}, flags: NO_FLAGS }).config;
}

const lines = (before: string, after: string): string[] => differencesOf(config(before), config(after)).map(inWords);

describe("the differences between two configurations", () => {
  test("are none between a configuration and itself, read twice", () => {
    const text =
      "api_key: k\napi_keys: [{ name: a, key: b }]\ninitial_workers: [{ url: http://a:1, labels: { x: y } }]\n";
    expect(lines(text, `# another comment\n${text}`)).toEqual([]);
  });

  test("are told by option, in the order of the schema, in the words of the file", () => {
    expect(lines("queue_size: 1\n", "cors_allowed_origins: [https://a.example]\nmodel_path: m\n")).toEqual([
      '~ cors_allowed_origins: [] -> ["https://a.example"]',
      "+ model_path: m",
      "~ queue_size: 1 -> 100",
    ]);
    expect(lines("model_path: m\n", "")).toEqual(["- model_path: m"]);
  });

  test("name the entry of a list by its address, name or pattern, and tell only what differs in it", () => {
    expect(
      lines(
        "initial_workers: [{ url: http://a:1, cost: 1, labels: { zone: x } }, { url: http://b:1 }]\nmodel_policies: { patterns: [{ match: m, policy: random }] }\n",
        "initial_workers: [{ url: http://a:1, cost: 2, labels: { zone: y, rackName: z } }]\nmodel_policies: { patterns: [{ match: m, policy: round_robin }] }\n",
      ),
    ).toEqual([
      '- initial_workers[http://b:1]: {"url":"http://b:1"}',
      "~ initial_workers[http://a:1].labels.zone: x -> y",
      "+ initial_workers[http://a:1].labels.rackName: z",
      "~ initial_workers[http://a:1].cost: 1 -> 2",
      "~ model_policies.patterns[m].policy: random -> round_robin",
    ]);
  });

  test("show of an entry that comes or goes what was written, and none of its defaults", () => {
    const text =
      "initial_workers: [{ url: http://a:1, priority: 50, labels: { zone: x }, health: { timeout_secs: 3 } }]\napi_keys: [{ name: a, key: first-secret, priority: low }]\nmodel_policies: { patterns: [{ match: m, policy: cache_aware, config: { cache_threshold: 0.7 } }] }\n";
    const entries = [
      'model_policies.patterns[m]: {"match":"m","policy":"cache_aware","config":{"cache_threshold":0.7}}',
      'api_keys[a]: {"name":"a","key":"[redacted]","priority":"low"}',
      'initial_workers[http://a:1]: {"url":"http://a:1","labels":{"zone":"x"},"health":{"timeout_secs":3}}',
    ];
    expect(lines(text, "").toSorted()).toEqual(entries.map((entry) => `- ${entry}`).toSorted());
    expect(lines("", text).toSorted()).toEqual(entries.map((entry) => `+ ${entry}`).toSorted());
  });

  test("see another order, because the first pattern that matches is used", () => {
    const patterns = (...names: string[]): string =>
      `model_policies: { patterns: [${names.map((name) => `{ match: "${name}", policy: random }`).join(", ")}] }`;
    expect(lines(patterns("a", "b"), patterns("b", "a"))).toEqual([
      '~ model_policies.patterns: ["a","b"] -> ["b","a"]',
    ]);
    expect(lines(patterns("a", "b"), patterns("c", "a", "b"))).toHaveLength(1);
    // Two of one name are told as a whole.
    expect(lines(patterns("a", "a"), patterns("a"))).toHaveLength(1);
  });

  test("say of a secret that it differs, and nothing of what it is", () => {
    const told = lines(
      "api_key: first-secret\napi_keys: [{ name: a, key: second-secret }]\nadmin_api_key: third-secret\n",
      "api_key: fourth-secret\napi_keys: [{ name: a, key: fifth-secret }, { name: b, key: sixth-secret }]\n",
    );
    expect(told.join("\n")).not.toContain("secret");
    expect(told.slice(0, 2)).toEqual(["~ api_key: another value", "~ api_keys[a].key: another value"]);
    expect(told.at(-1)).toBe("- admin_api_key: [redacted]");
  });

  test("say which of them a running gateway cannot take, and why", () => {
    expect(lines("", "threads: 3\n")).toEqual(["~ threads: 1 -> 3 (needs a restart: threads are started once)"]);
  });
});

test("a change of any option is seen", () => {
  const before = config("");
  for (const key of keysOf(configSchema.shape)) {
    const value = before[key];
    const other = typeof value === "number" ? value + 1 : typeof value === "boolean" ? !value : new Secret("x");
    const found = differencesOf(before, { ...before, [key]: other });
    expect([key, found.map((one) => one.key)]).toEqual([key, [key]]);
  }
});
