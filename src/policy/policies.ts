import { cacheAware } from "./cache-aware.ts";
import { consistentHashing } from "./consistent-hashing.ts";
import { passthrough } from "./passthrough.ts";
import { powerOfTwo } from "./power-of-two.ts";
import { random } from "./random.ts";
import { roundRobin } from "./round-robin.ts";
import { shortestQueue } from "./shortest-queue.ts";

/** All built-in policies, in the order of the pages and of `--help`. A new policy is added here. */
export const POLICIES = [
  cacheAware,
  shortestQueue,
  powerOfTwo,
  roundRobin,
  random,
  consistentHashing,
  passthrough,
] as const;

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
