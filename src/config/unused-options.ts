import { canonicalPolicy } from "../policy/policy-names.ts";
import { snakeCase } from "../util/case.ts";
import { keysOf } from "../util/objects.ts";
import { namedPolicies } from "./check-config.ts";
import type { RawObject } from "./config-file.ts";
import { type Config, type ConfigKey, optionMeta } from "./schema.ts";

/**
 * Says of each given option that belongs to a policy which nothing names, or to another option which is off, that it has no effect.
 * The options' own entries say what they belong to (`OptionMeta`).
 */
export function unusedOptions(config: Config, given: Readonly<RawObject>): string[] {
  const used = [...new Set(namedPolicies(config).map(({ name }) => canonicalPolicy(name)))];
  return keysOf(config).flatMap((key) => (given[key] === undefined ? [] : (whyUnused(key, config, used) ?? [])));
}

function whyUnused(key: ConfigKey, config: Config, used: readonly string[]): string | undefined {
  const { policies = [], onlyWith = [] } = optionMeta(key);
  if (policies.length + onlyWith.length === 0) return undefined;
  if (policies.some((name) => used.includes(name)) || onlyWith.some((name) => isOn(config[name]))) return undefined;
  const [name, switches] = [snakeCase(key), onlyWith.map(snakeCase)];
  if (policies.length === 0) return `${name} has no effect without ${switches.join(" or ")}`;
  const named = `the ${used.length === 1 ? "policy" : "policies"} ${listed(used)}`;
  return `${name} has no effect with ${named}: it is an option of ${listed([...policies, ...switches])}`;
}

function isOn(value: unknown): boolean {
  return value !== undefined && value !== false;
}

/** `a`, `a and b`, `a, b and c`. */
function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join() : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
