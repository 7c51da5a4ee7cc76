import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { idleCandidate, requestWith } from "../../test/support/candidates.ts";
import { definePolicy, type PolicyRow } from "./define-policy.ts";
import { POLICIES } from "./policies.ts";
import { canonicalPolicy, nearestPolicy } from "./policy-names.ts";
import type { PolicyParts } from "./policy.ts";

const PARTS: PolicyParts = {
  memory: (bytes) => new SharedArrayBuffer(bytes),
  random: () => 0,
  now: () => 7,
  thread: 0,
  threads: 1,
};

const stubborn = definePolicy({
  name: "stubborn",
  chooses: "the one that its options name",
  goodFor: "tests",
  options: z.strictObject({ favouriteSlot: z.int().min(0).default(0).meta({ description: "slot." }) }),
  create: ({ favouriteSlot }, { now }) => ({
    name: "stubborn",
    pick: (candidates) => candidates.findIndex(({ slot }) => slot === favouriteSlot),
    costs: () => [now()],
  }),
});

describe("a policy that is defined", () => {
  test("is made with its options, with the defaults of those that are not given, and with its parts", () => {
    const workers = [0, 1].map(idleCandidate);
    expect(stubborn.create({ favouriteSlot: 1 }, PARTS).pick(workers, requestWith())).toBe(1);
    const policy = stubborn.create({}, PARTS);
    expect([policy.pick(workers, requestWith()), policy.costs?.(workers, requestWith())]).toEqual([0, [7]]);
  });

  test("refuses an option that it does not have, or that is wrong, by the name that the file has for it", () => {
    for (const given of [{ favouriteSlot: "one" }, { favouriteSlot: -1 }]) {
      expect(() => stubborn.check(given)).toThrow("the option favourite_slot of the policy stubborn: ");
      expect(() => stubborn.create(given, PARTS)).toThrow("favourite_slot");
    }
    expect(() => stubborn.check({ lovedSlot: 1 })).toThrow("the option loved_slot of the policy stubborn: ");
    expect(() => stubborn.check({ favouriteSlot: 3 })).not.toThrow();
  });
});

describe("every built-in policy", () => {
  const rows: readonly PolicyRow[] = POLICIES;

  for (const { name, chooses, goodFor, options } of rows) {
    test(`${name} says in a line what it chooses, and documents each option with a valid default`, () => {
      expect([chooses.length > 0, goodFor.length > 0, chooses.includes("\n")]).toEqual([true, true, false]);
      for (const [key, schema] of Object.entries(options.shape)) {
        expect([key, schema instanceof z.ZodDefault]).toEqual([key, true]);
        expect([key, z.globalRegistry.get(schema)?.description]).toEqual([key, expect.stringMatching(/\.$/)]);
        expect([key, schema.safeParse(undefined).success]).toEqual([key, true]);
      }
      expect(options.safeParse({}).success).toBe(true);
      expect(options.safeParse({ unknownOption: 1 }).success).toBe(false);
    });
  }

  test("has a name of its own, among aliases and names of other gateways as well", () => {
    const names = rows.flatMap(({ name, aliases, nearestTo }) => [name, ...aliases, ...Object.keys(nearestTo)]);
    expect(new Set(names).size).toBe(names.length);
  });

  test("shares an option with another one only as the same option", () => {
    const schemas = new Map<string, unknown>();
    for (const { options } of rows) {
      for (const [key, schema] of Object.entries(options.shape)) {
        expect([key, schemas.get(key) ?? schema]).toEqual([key, schema]);
        schemas.set(key, schema);
      }
    }
  });
});

test("a policy is found by its aliases, and a policy of another gateway by what comes nearest", () => {
  expect(["roundrobin", "consistent_hash", "random", "mine"].map(canonicalPolicy)).toEqual([
    "round_robin",
    "consistent_hashing",
    "random",
    "mine",
  ]);
  expect(nearestPolicy("request_num")).toBe("shortest_queue takes the worker with the fewest requests in flight");
  expect(nearestPolicy("mine")).toBeUndefined();
});

test("every policy of other gateways is a policy here, by its name or an alias, or has one that comes nearest", () => {
  // What `--policy`, `--prefill-policy` and `--decode-policy` take in smg 1.13.0, sglang-router 0.3.2 and vllm-router 0.1.17.
  const built =
    "random round_robin passthrough cache_aware power_of_two least_load manual consistent_hashing prefix_hash bucket consistent_hash";
  for (const name of built.split(" ")) {
    expect([name, POLICIES.some((row) => row.name === canonicalPolicy(name))]).toEqual([name, true]);
  }
  for (const name of ["kv_aware", "sticky_least_loaded"])
    expect([name, typeof nearestPolicy(name)]).toEqual([name, "string"]);
});
