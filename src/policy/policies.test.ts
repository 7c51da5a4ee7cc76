import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { candidates as workers, chosenBy, createPolicy, requestWith } from "../../test/support/candidates.ts";
import { consistentHashing } from "./consistent-hashing.ts";
import { passthrough } from "./passthrough.ts";
import { POLICIES } from "./policies.ts";
import type { RequestFeatures } from "./policy.ts";
import { powerOfTwo } from "./power-of-two.ts";
import { random } from "./random.ts";
import { roundRobin } from "./round-robin.ts";
import { shortestQueue } from "./shortest-queue.ts";

function request(key?: string): RequestFeatures {
  return requestWith({ promptTokens: 10, routingKey: () => key });
}

/** Numbers in turn. */
function draws(...values: number[]): () => number {
  let turn = 0;
  return () => values[turn++ % values.length] ?? 0;
}

/** Policies that remember prefixes of prompts. */
const WITH_INDEX = POLICIES.filter(({ options }) => "maxTreeSize" in options.shape);

describe("every policy that remembers prefixes goes by the KV events of its workers", () => {
  test.each(WITH_INDEX.map((row) => [row.name, row] as const))("%s", (_, row) => {
    const policy = createPolicy(row);
    const ids = Uint32Array.from({ length: 512 }, (_id, at) => at);
    const bytes = new Uint8Array(ids.buffer);
    const features = requestWith({ promptTokens: ids.length, isTokenized: true, promptBytes: () => bytes });
    for (const slot of [0, 1, 2]) policy.cacheNews?.(slot, { kind: "exact", isExact: true });
    for (const owner of [2, 0, 1]) {
      const { hashes } = features.promptBlocks();
      policy.cacheNews?.(owner, { kind: "stored", hashes });
      expect(chosenBy(policy, workers(0, 0, 0), features)).toBe(owner);
      for (const slot of [0, 1, 2]) policy.cacheNews?.(slot, { kind: "removed", hashes });
    }
  });

  test("there are three of them", () => {
    expect(WITH_INDEX.map(({ name }) => name)).toEqual(["least_ttft", "cache_aware", "lmetric"]);
  });
});

test("every policy chooses a candidate, of one and of many, whatever their load", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...POLICIES),
      fc.array(fc.nat(500), { minLength: 1, maxLength: 40 }),
      fc.option(fc.string(), { nil: undefined }),
      fc.uint8Array({ maxLength: 600 }),
      (row, loads, key, prompt) => {
        const policy = createPolicy(row);
        const features = { ...request(key), promptBytes: () => prompt };
        const candidates = workers(...loads);
        for (let count = 0; count < 3; count += 1) {
          const index = chosenBy(policy, candidates, features);
          expect(Number.isInteger(index) && index >= 0 && index < loads.length).toBe(true);
        }
        expect(policy.name).toBe(row.name);
      },
    ),
  );
});

test("round robin gives each its turn", () => {
  const policy = createPolicy(roundRobin);
  const chosen = Array.from({ length: 6 }, () => chosenBy(policy, workers(0, 0, 0), request()));
  expect(chosen).toEqual([0, 1, 2, 0, 1, 2]);
});

test("random follows its numbers", () => {
  const policy = createPolicy(random, {}, { random: draws(0, 0.34, 0.99) });
  expect([0, 1, 2].map(() => chosenBy(policy, workers(0, 0, 0), request()))).toEqual([0, 1, 2]);
});

test("passthrough takes the first", () => {
  expect(chosenBy(createPolicy(passthrough), workers(9, 0), request())).toBe(0);
});

describe("power of two", () => {
  test("takes the less loaded of two different workers", () => {
    expect(chosenBy(createPolicy(powerOfTwo, {}, { random: draws(0, 0) }), workers(5, 1, 0), request())).toBe(1);
    expect(chosenBy(createPolicy(powerOfTwo, {}, { random: draws(0.4, 0) }), workers(0, 5, 9), request())).toBe(0);
  });

  test("never takes the most loaded of many", () => {
    const policy = createPolicy(powerOfTwo);
    for (let count = 0; count < 300; count += 1) expect(chosenBy(policy, workers(0, 1, 2, 99), request())).not.toBe(3);
  });
});

describe("shortest queue", () => {
  test("takes the one with the fewest in flight", () => {
    expect(chosenBy(createPolicy(shortestQueue), workers(3, 1, 2), request())).toBe(1);
  });

  test("uses all of an idle fleet", () => {
    const policy = createPolicy(shortestQueue);
    const chosen = new Set(Array.from({ length: 8 }, () => chosenBy(policy, workers(0, 0, 0, 0), request())));
    expect(chosen.size).toBe(4);
  });

  test("finds a lightly loaded one among thousands", () => {
    const loads = Array.from({ length: 5000 }, (_, index) => index % 100);
    const policy = createPolicy(shortestQueue);
    for (let count = 0; count < 50; count += 1) {
      expect(loads[chosenBy(policy, workers(...loads), request())]).toBeLessThan(20);
    }
  });
});

describe("consistent hashing", () => {
  test("a key stays with its worker, whatever the load", () => {
    const policy = createPolicy(consistentHashing);
    const first = chosenBy(policy, workers(0, 0, 0, 0), request("session-7"));
    expect(chosenBy(policy, workers(9, 9, 9, 9), request("session-7"))).toBe(first);
  });

  test("without a key the least loaded is taken", () => {
    expect(chosenBy(createPolicy(consistentHashing), workers(3, 0, 2), request())).toBe(1);
  });

  test("a worker that leaves moves only its own keys, one that comes takes only its share", () => {
    const policy = createPolicy(consistentHashing);
    const keys = Array.from({ length: 2000 }, (_, index) => `key-${index}`);
    const all = workers(0, 0, 0, 0, 0);
    const before = keys.map((key) => all[chosenBy(policy, all, request(key))]?.id);
    const fewer = all.slice(0, 4);
    const after = keys.map((key) => fewer[chosenBy(policy, fewer, request(key))]?.id);
    const moved = keys.filter((_, index) => before[index] !== after[index]);
    expect(moved.every((key) => before[keys.indexOf(key)] === "w4")).toBe(true);
    expect(moved.length).toBeGreaterThan(200);
    expect(moved.length).toBeLessThan(650);
  });

  test("the order of the candidates does not matter", () => {
    const policy = createPolicy(consistentHashing);
    const all = workers(0, 0, 0, 0);
    const turned = all.toReversed();
    for (let count = 0; count < 100; count += 1) {
      const key = request(`key-${count}`);
      expect(turned[chosenBy(policy, turned, key)]?.id).toBe(all[chosenBy(policy, all, key)]?.id);
    }
  });
});
