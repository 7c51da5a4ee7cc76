import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createConsistentHashing } from "./consistent-hashing.ts";
import { createPassthrough } from "./passthrough.ts";
import type { Candidate, Policy, RequestFeatures } from "./policy.ts";
import { POLICIES } from "./policy-config.ts";
import { createPowerOfTwo } from "./power-of-two.ts";
import { createRandom } from "./random.ts";
import { createRoundRobin } from "./round-robin.ts";
import { createShortestQueue } from "./shortest-queue.ts";

function workers(...inFlight: number[]): Candidate[] {
  return inFlight.map((count, index) => ({
    id: `w${index}`,
    url: `http://w${index}:80`,
    slot: index,
    inFlight: count,
    pendingPromptTokens: 0,
  }));
}

function request(key?: string): RequestFeatures {
  return { model: "m", promptTokens: 10, promptBytes: () => new Uint8Array(0), routingKey: () => key };
}

/** Numbers in turn. */
function draws(...values: number[]): () => number {
  let turn = 0;
  return () => values[turn++ % values.length] ?? 0;
}

test("every policy chooses a candidate, of one and of many, whatever their load", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...POLICIES.keys()),
      fc.array(fc.nat(500), { minLength: 1, maxLength: 40 }),
      fc.option(fc.string(), { nil: undefined }),
      fc.uint8Array({ maxLength: 600 }),
      (name, loads, key, prompt) => {
        const policy = POLICIES.get(name)?.({}) as Policy;
        const features = { ...request(key), promptBytes: () => prompt };
        const candidates = workers(...loads);
        for (let count = 0; count < 3; count += 1) {
          const index = policy.select(candidates, features);
          expect(Number.isInteger(index) && index >= 0 && index < loads.length).toBe(true);
        }
        expect(policy.name).toBe(name);
      },
    ),
  );
});

test("round robin gives each its turn", () => {
  const policy = createRoundRobin();
  const chosen = Array.from({ length: 6 }, () => policy.select(workers(0, 0, 0), request()));
  expect(chosen).toEqual([0, 1, 2, 0, 1, 2]);
});

test("random follows its numbers", () => {
  const policy = createRandom(draws(0, 0.34, 0.99));
  expect([0, 1, 2].map(() => policy.select(workers(0, 0, 0), request()))).toEqual([0, 1, 2]);
});

test("passthrough takes the first", () => {
  expect(createPassthrough().select(workers(9, 0), request())).toBe(0);
});

describe("power of two", () => {
  test("takes the less loaded of two different workers", () => {
    expect(createPowerOfTwo(draws(0, 0)).select(workers(5, 1, 0), request())).toBe(1);
    expect(createPowerOfTwo(draws(0.4, 0)).select(workers(0, 5, 9), request())).toBe(0);
  });

  test("never takes the most loaded of many", () => {
    const policy = createPowerOfTwo();
    for (let count = 0; count < 300; count += 1) expect(policy.select(workers(0, 1, 2, 99), request())).not.toBe(3);
  });
});

describe("shortest queue", () => {
  test("takes the one with the fewest in flight", () => {
    expect(createShortestQueue().select(workers(3, 1, 2), request())).toBe(1);
  });

  test("uses all of an idle fleet", () => {
    const policy = createShortestQueue();
    const chosen = new Set(Array.from({ length: 8 }, () => policy.select(workers(0, 0, 0, 0), request())));
    expect(chosen.size).toBe(4);
  });

  test("finds a lightly loaded one among thousands", () => {
    const loads = Array.from({ length: 5000 }, (_, index) => index % 100);
    const policy = createShortestQueue();
    for (let count = 0; count < 50; count += 1) {
      expect(loads[policy.select(workers(...loads), request())]).toBeLessThan(20);
    }
  });
});

describe("consistent hashing", () => {
  test("a key stays with its worker, whatever the load", () => {
    const policy = createConsistentHashing();
    const first = policy.select(workers(0, 0, 0, 0), request("session-7"));
    expect(policy.select(workers(9, 9, 9, 9), request("session-7"))).toBe(first);
  });

  test("without a key the least loaded is taken", () => {
    expect(createConsistentHashing().select(workers(3, 0, 2), request())).toBe(1);
  });

  test("a worker that leaves moves only its own keys, one that comes takes only its share", () => {
    const policy = createConsistentHashing();
    const keys = Array.from({ length: 2000 }, (_, index) => `key-${index}`);
    const all = workers(0, 0, 0, 0, 0);
    const before = keys.map((key) => all[policy.select(all, request(key))]?.id);
    const fewer = all.slice(0, 4);
    const after = keys.map((key) => fewer[policy.select(fewer, request(key))]?.id);
    const moved = keys.filter((_, index) => before[index] !== after[index]);
    expect(moved.every((key) => before[keys.indexOf(key)] === "w4")).toBe(true);
    expect(moved.length).toBeGreaterThan(200);
    expect(moved.length).toBeLessThan(650);
  });

  test("the order of the candidates does not matter", () => {
    const policy = createConsistentHashing();
    const all = workers(0, 0, 0, 0);
    const turned = all.toReversed();
    for (let count = 0; count < 100; count += 1) {
      const key = request(`key-${count}`);
      expect(turned[policy.select(turned, key)]?.id).toBe(all[policy.select(all, key)]?.id);
    }
  });
});
