import { POLICIES } from "./policies.ts";

/** In the order of POLICIES. */
export const POLICY_NAMES: readonly string[] = POLICIES.map(({ name }) => name);

const NAMES: ReadonlyMap<string, string> = new Map(
  POLICIES.flatMap(({ name, aliases }) => aliases.map((alias) => [alias, name])),
);

/** The policy's own name, for its own name or an alias. */
export function canonicalPolicy(given: string): string {
  return NAMES.get(given) ?? given;
}

const NEAREST: ReadonlyMap<string, string> = new Map(
  POLICIES.flatMap(({ name, nearestTo }) =>
    Object.entries(nearestTo).map(([other, does]) => [other, `${name} ${does}`]),
  ),
);

/** For a policy of another gateway that is not built: the nearest policy, and what it does. */
export function nearestPolicy(foreign: string): string | undefined {
  return NEAREST.get(foreign);
}
