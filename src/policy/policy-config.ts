import { GatewayError } from "../errors/errors.ts";
import { createCacheAware, DEFAULT_CACHE_AWARE_OPTIONS } from "./cache-aware.ts";
import { createConsistentHashing } from "./consistent-hashing.ts";
import { createPassthrough } from "./passthrough.ts";
import type { AllocateShared, Policy } from "./policy.ts";
import { createPowerOfTwo } from "./power-of-two.ts";
import { createRandom } from "./random.ts";
import { createRoundRobin } from "./round-robin.ts";
import { createShortestQueue } from "./shortest-queue.ts";

/** Options of a policy, as a pattern or the defaults give them. */
export type PolicyOptions = Readonly<Record<string, number | string | boolean>>;

/** Makes an instance of a policy. Options that it does not have were refused before. */
export type PolicyFactory = (options: PolicyOptions, memory?: AllocateShared) => Policy;

/** Every built-in policy. Adding one is adding a row, and its name to the configuration's schema. */
export const POLICIES: ReadonlyMap<string, PolicyFactory> = new Map<string, PolicyFactory>([
  [
    "cache_aware",
    (options, memory) => createCacheAware({ ...DEFAULT_CACHE_AWARE_OPTIONS, ...numbers(options) }, memory),
  ],
  ["shortest_queue", () => createShortestQueue()],
  ["power_of_two", () => createPowerOfTwo()],
  ["round_robin", (_options, memory) => createRoundRobin(memory)],
  ["random", () => createRandom()],
  ["consistent_hashing", () => createConsistentHashing()],
  ["passthrough", () => createPassthrough()],
]);

function numbers(options: PolicyOptions): Record<string, number> {
  const result: Record<string, number> = {};
  for (const [name, value] of Object.entries(options)) {
    if (typeof value !== "number" || !Number.isFinite(value)) {
      throw new GatewayError("invalid_request", `the policy option ${name} must be a number`, { param: name });
    }
    result[name] = value;
  }
  return result;
}
