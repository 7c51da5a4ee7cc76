import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { chosenBy, idleCandidate, requestWith } from "../../../test/support/candidates.ts";
import type { Candidate, Policy, RequestFeatures } from "../../policy/policy.ts";
import { aibrix } from "./aibrix.ts";
import type { Baseline, BaselineParts, EngineReport } from "./baseline.ts";
import { BASELINES } from "./baselines.ts";
import { chbl, chblPrefix } from "./bounded-hash.ts";
import { leastRequests, p2c, tokens } from "./by-load.ts";
import { sglang, smg, vllmRouter } from "./cache-aware.ts";
import { dualmap } from "./dualmap.ts";
import { dynamo, dynamoLmetric } from "./dynamo.ts";
import { gie, gieFresh } from "./gie.ts";
import { llmd } from "./llmd.ts";
import { loadaware } from "./loadaware.ts";
import { preble } from "./preble.ts";

const IDLE: EngineReport = { waiting: 0, kvUsed: 0 };

/** An instance; of equals it takes the first, as every lot is 0.99. */
function made(baseline: Baseline, parts: Partial<BaselineParts> = {}): Policy {
  return baseline.create({
    memory: (bytes) => new SharedArrayBuffer(bytes),
    random: () => 0.99,
    now: () => 0,
    thread: 0,
    threads: 1,
    fleet: { engine: () => IDLE },
    ...parts,
  });
}

/** Workers without work, but for what is given of each. */
function fleet(...workers: readonly Partial<Candidate>[]): Candidate[] {
  return workers.map((one, slot) => ({ ...idleCandidate(slot), ...one }));
}

/** Blocks of 32 tokens each: a request with these hashes. */
function prompt(hashes: readonly number[], features: Partial<RequestFeatures> = {}): RequestFeatures {
  const blocks = { hashes: Int32Array.from(hashes), bytes: hashes.length * 128 };
  return requestWith({ promptTokens: hashes.length * 32, promptBlocks: () => blocks, ...features });
}

/** Hashes of a prompt of its own. */
function own(name: number, blocks: number): number[] {
  return Array.from({ length: blocks }, (_, block) => name * 1000 + block);
}

/** Sends the prompt while only the worker in this place is free. */
function teach(policy: Policy, workers: number, place: number, request: RequestFeatures): void {
  const only = { ...idleCandidate(place) };
  expect(chosenBy(policy, [only], request)).toBe(0);
  expect(place).toBeLessThan(workers);
}

const LOADS = { inFlight: 3, decoding: 1, pendingPromptTokens: 640, contextTokens: 3000, kvCapacityTokens: 10_000 };

test("each baseline has a name and a source of its own, and gives its policy that name", () => {
  expect(new Set(BASELINES.map(({ name }) => name)).size).toBe(BASELINES.length);
  for (const baseline of BASELINES) {
    expect(made(baseline).name).toBe(baseline.name);
    expect(baseline.source.length).toBeGreaterThan(10);
  }
});

describe("each baseline", () => {
  for (const baseline of BASELINES) {
    test(`${baseline.name} chooses one of the candidates, and charges at most the prompt`, () => {
      const load = fc.record({
        inFlight: fc.nat(200),
        decoding: fc.nat(50),
        pendingPromptTokens: fc.nat(100_000),
        contextTokens: fc.nat(100_000),
      });
      const request = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 20 });
      fc.assert(
        fc.property(fc.array(load, { minLength: 1, maxLength: 9 }), fc.array(request), (loads, requests) => {
          const policy = made(baseline, { random: Math.random });
          const workers = fleet(...loads);
          for (const hashes of requests) {
            const one = prompt(hashes, { promptTokens: hashes.length * 32 + 5 });
            const picked = policy.pick(workers, one);
            const index = typeof picked === "number" ? picked : picked.index;
            expect(workers[index]).toBeDefined();
            const charge = typeof picked === "number" ? 0 : (picked.chargeTokens ?? 0);
            expect(Number.isInteger(charge) && charge >= 0 && charge <= one.promptTokens).toBe(true);
          }
        }),
        { numRuns: 30 },
      );
    });
  }
});

describe("by load", () => {
  test("p2c compares two different workers", () => {
    const lots = [0.5, 0.99, 0.99, 0];
    const policy = made(p2c, { random: () => lots.shift() ?? 0 });
    const workers = fleet({ inFlight: 1 }, { inFlight: 4 }, { inFlight: 2 });
    // 1 and then 0, then 2 and 0.
    expect([chosenBy(policy, workers), chosenBy(policy, workers)]).toEqual([0, 0]);
  });

  test("least_requests counts requests, and tokens what is not prefilled", () => {
    const workers = fleet(
      { inFlight: 2, pendingPromptTokens: 10 },
      { inFlight: 1, pendingPromptTokens: 99 },
      { inFlight: 5, pendingPromptTokens: 9 },
    );
    expect([chosenBy(made(leastRequests), workers), chosenBy(made(tokens), workers)]).toEqual([1, 2]);
  });
});

describe("cache_aware of other gateways", () => {
  const long = own(1, 10);

  test("takes the owner of a prefix of more than 0.3 of the prompt, however loaded within bounds", () => {
    for (const baseline of [smg, sglang, vllmRouter]) {
      const policy = made(baseline);
      teach(policy, 2, 1, prompt(long));
      const workers = fleet({}, { inFlight: 64 });
      expect([baseline.name, chosenBy(policy, workers, prompt([...long.slice(0, 4), ...own(2, 6)]))]).toEqual([
        baseline.name,
        1,
      ]);
      // Only 3 of 10 blocks: by load or by tree, both of which the idle first worker wins.
      expect(chosenBy(policy, workers, prompt([...long.slice(0, 3), ...own(3, 7)]))).toBe(0);
    }
  });

  test("takes the fewest requests as soon as one worker has more than 64 more, and half as many again", () => {
    for (const baseline of [smg, sglang, vllmRouter]) {
      const policy = made(baseline);
      teach(policy, 2, 1, prompt(long));
      // 90 more, but less than half as many again.
      expect(chosenBy(policy, fleet({ inFlight: 200 }, { inFlight: 290 }), prompt(long))).toBe(1);
      expect(chosenBy(policy, fleet({}, { inFlight: 65 }), prompt(long))).toBe(0);
    }
  });

  test("differs in the owner where several have the prefix, and in the worker for an unknown prompt", () => {
    const choices = [smg, sglang, vllmRouter].map((baseline) => {
      const policy = made(baseline);
      teach(policy, 3, 0, prompt(long));
      teach(policy, 3, 2, prompt(long));
      const owner = chosenBy(policy, fleet({}, {}, {}), prompt(long));
      teach(policy, 3, 1, prompt(own(7, 1)));
      const unknown = chosenBy(policy, fleet({ inFlight: 1 }, { inFlight: 2 }, { inFlight: 0 }), prompt(own(9, 4)));
      return [owner, unknown];
    });
    expect(choices).toEqual([
      [2, 2],
      [0, 1],
      [2, 1],
    ]);
  });
});

describe("gie", () => {
  test("adds 2 for the shortest queue, 2 for a free cache and 3 for the whole prompt", () => {
    const reports: EngineReport[] = [
      { waiting: 4, kvUsed: 0.5 },
      { waiting: 0, kvUsed: 0.5 },
    ];
    const policy = made(gie, { fleet: { engine: (slot) => reports[slot] ?? IDLE } });
    teach(policy, 2, 0, prompt(own(1, 10)));
    // 0 + 1 + 3 x 0.8 = 3.4 against 2 + 1 + 0 = 3.
    expect(chosenBy(policy, fleet({}, {}), prompt([...own(1, 8), ...own(2, 2)]))).toBe(0);
  });

  test("chooses the short queue where the prefix is worth less", () => {
    const reports: EngineReport[] = [
      { waiting: 4, kvUsed: 0.5 },
      { waiting: 0, kvUsed: 0.5 },
    ];
    const policy = made(gie, { fleet: { engine: (slot) => reports[slot] ?? IDLE } });
    teach(policy, 2, 0, prompt(own(1, 10)));
    // 0 + 1 + 3 x 0.6 = 2.8 against 3.
    expect(chosenBy(policy, fleet({}, {}), prompt([...own(1, 6), ...own(2, 4)]))).toBe(1);
  });

  test("sees the engines as they were at the last scrape, 50 ms apart", () => {
    let now = 1000;
    let waiting = 0;
    const engine = (slot: number): EngineReport => ({ waiting: slot === 0 ? waiting : 1, kvUsed: 0 });
    const policy = made(gie, { now: () => now, fleet: { engine } });
    const choose = (name: number): number => chosenBy(policy, fleet({}, {}), prompt(own(name, 2)));
    expect(choose(1)).toBe(0);
    waiting = 9;
    now = 1049;
    expect(choose(2)).toBe(0);
    now = 1050;
    expect(choose(3)).toBe(1);
  });

  test("on its own counts takes requests without a first token for the queue, and prompts in flight for the cache", () => {
    const policy = made(gieFresh);
    const busy = { inFlight: 5, decoding: 2 };
    expect(chosenBy(policy, fleet(busy, { inFlight: 9, decoding: 9 }), prompt(own(1, 2)))).toBe(1);
    const full = { contextTokens: 900, kvCapacityTokens: 1000 };
    expect(chosenBy(policy, fleet(full, { ...full, contextTokens: 800 }), prompt(own(2, 2)))).toBe(1);
  });
});

describe("dynamo", () => {
  test("adds blocks that wait for prefill and blocks in flight, and charges what is not cached", () => {
    const policy = made(dynamo);
    teach(policy, 2, 0, prompt(own(1, 10)));
    const request = prompt([...own(1, 8), ...own(2, 2)]);
    // (640 + 64) / 16 + 3000 / 16 = 231.5 against (0 + 320) / 16 + 3200 / 16 = 220, or 232 with 3392 in flight.
    expect(policy.pick(fleet(LOADS, { contextTokens: 3392 }), request)).toEqual({ index: 0, chargeTokens: 64 });
    expect(policy.pick(fleet(LOADS, { contextTokens: 3200 }), prompt([...own(1, 8), ...own(3, 2)]))).toMatchObject({
      index: 1,
    });
  });

  test("in its other form multiplies the prefill backlog with those that decode", () => {
    const policy = made(dynamoLmetric);
    // (640 + 64) x 2 = 1408 against (64 + 640) x 1 = 704.
    const workers = fleet(LOADS, { pendingPromptTokens: 640 });
    expect(policy.pick(workers, prompt(own(1, 2)))).toEqual({ index: 1, chargeTokens: 64 });
    // 64 x 10 against (64 + 512) x 1.
    expect(policy.pick(fleet({ decoding: 9 }, { pendingPromptTokens: 512 }), prompt(own(2, 2)))).toMatchObject({
      index: 1,
    });
    expect(policy.pick(fleet({ decoding: 8 }, { pendingPromptTokens: 513 }), prompt(own(3, 2)))).toMatchObject({
      index: 0,
    });
  });
});

describe("aibrix", () => {
  test("takes the longest match whose load is at most a deviation above the mean", () => {
    const policy = made(aibrix);
    teach(policy, 3, 0, prompt(own(1, 10)));
    // Mean 3.33, deviation 2.36: a load of 5 is within.
    expect(chosenBy(policy, fleet({ inFlight: 5 }, { inFlight: 5 }, {}), prompt(own(1, 10)))).toBe(0);
    const other = made(aibrix);
    teach(other, 3, 0, prompt(own(1, 10)));
    // Mean 2.67, deviation 3.1: 7 is above.
    expect(chosenBy(other, fleet({ inFlight: 7 }, { inFlight: 0 }, { inFlight: 1 }), prompt(own(1, 10)))).toBe(1);
  });

  test("takes the fewest requests where loads are more than 8 apart", () => {
    const policy = made(aibrix);
    teach(policy, 2, 1, prompt(own(1, 10)));
    expect(chosenBy(policy, fleet({ inFlight: 1 }, { inFlight: 9 }, {}, {}), prompt(own(1, 10)))).toBe(2);
  });
});

describe("preble", () => {
  test("goes to a cache of more than half of the prompt, and else to the least work of three minutes", () => {
    let now = 0;
    const policy = made(preble, { now: () => now });
    teach(policy, 2, 0, prompt(own(1, 10)));
    expect(chosenBy(policy, fleet({}, {}), prompt([...own(1, 6), ...own(2, 4)]))).toBe(0);
    // Half is not more than half: worker 1 was sent nothing.
    expect(chosenBy(policy, fleet({}, {}), prompt([...own(1, 5), ...own(3, 5)]))).toBe(1);
    now = 180_001;
    // All of it is forgotten, so the cached blocks decide.
    expect(chosenBy(policy, fleet({}, {}), prompt([...own(1, 5), ...own(4, 5)]))).toBe(0);
  });
});

describe("dualmap", () => {
  const workers = fleet({}, {}, {}, {}, {}, {}, {}, {});

  test("keeps a beginning on two workers, whatever follows", () => {
    const policy = made(dualmap);
    const chosen = Array.from({ length: 40 }, (_, name) =>
      chosenBy(policy, workers, prompt([...own(1, 8), ...own(name + 2, 3)])),
    );
    expect(new Set(chosen).size).toBeLessThanOrEqual(2);
  });

  test("spreads different beginnings over all", () => {
    const policy = made(dualmap);
    const chosen = Array.from({ length: 200 }, (_, name) => chosenBy(policy, workers, prompt(own(name + 1, 8))));
    expect(new Set(chosen).size).toBe(8);
  });

  test("leaves the worker with the cache for the other one while its backlog is more than a second", () => {
    const policy = made(dualmap);
    const first = chosenBy(policy, workers, prompt(own(1, 8)));
    const loaded = (pendingPromptTokens: number): Candidate[] =>
      workers.map((one, index) => (index === first ? { ...one, pendingPromptTokens } : one));
    expect(chosenBy(policy, loaded(17_000), prompt(own(1, 8)))).toBe(first);
    expect(chosenBy(policy, loaded(18_000), prompt(own(1, 8)))).not.toBe(first);
  });
});

test("loadaware takes the match off the load above the mean", () => {
  const policy = made(loadaware);
  teach(policy, 2, 0, prompt(own(1, 10)));
  // Mean 4: 0.25 - 0.6 against -0.25; then 0.5 - 0.6 against -0.5.
  expect(chosenBy(policy, fleet({ inFlight: 5 }, { inFlight: 3 }), prompt([...own(1, 6), ...own(2, 4)]))).toBe(0);
  expect(chosenBy(policy, fleet({ inFlight: 6 }, { inFlight: 2 }), prompt([...own(1, 6), ...own(3, 4)]))).toBe(1);
});

describe("consistent hashing with bounded loads", () => {
  test("keeps a session on its worker until that has a quarter more than the mean", () => {
    const policy = made(chbl);
    const request = prompt(own(1, 2), { routingKey: () => "alice" });
    const home = chosenBy(policy, fleet({}, {}, {}, {}), request);
    const loaded = (inFlight: number): Candidate[] =>
      fleet({}, {}, {}, {}).map((one, index) => ({ ...one, inFlight: index === home ? inFlight : 3 }));
    // 13 requests with this one: at most ceil(1.25 x 13 / 4) = 5 each.
    expect(chosenBy(policy, loaded(3), request)).toBe(home);
    expect(chosenBy(policy, loaded(6), request)).not.toBe(home);
  });

  test("by prefix keeps prompts with one beginning together", () => {
    const policy = made(chblPrefix);
    const workers = fleet({}, {}, {}, {});
    const chosen = Array.from({ length: 20 }, (_, name) =>
      chosenBy(policy, workers, prompt([1, ...own(name + 2, 3)], { routingKey: () => String(name) })),
    );
    expect(new Set(chosen).size).toBe(1);
  });

  test("loses no session but those of a worker that leaves", () => {
    const policy = made(chbl);
    const workers = fleet({}, {}, {}, {}, {});
    const homes = (among: readonly Candidate[]): string[] =>
      Array.from({ length: 200 }, (_, key) => {
        const index = chosenBy(policy, among, prompt(own(1, 1), { routingKey: () => `user ${key}` }));
        return among[index]?.id ?? "none";
      });
    const [before, after] = [homes(workers), homes(workers.slice(0, 4))];
    for (const [key, home] of before.entries()) if (home !== "w4") expect(after[key]).toBe(home);
    expect(new Set(after).size).toBe(4);
  });
});

describe("llmd", () => {
  test("stays among the workers with 80 % of the prompt, and takes the one with the fewest tokens that wait", () => {
    const policy = made(llmd);
    for (const place of [0, 1]) teach(policy, 3, place, prompt(own(1, 10)));
    const workers = fleet({ pendingPromptTokens: 5000 }, { pendingPromptTokens: 4000 }, {});
    expect(policy.pick(workers, prompt([...own(1, 8), ...own(2, 2)]))).toEqual({ index: 1, chargeTokens: 64 });
    expect(policy.pick(workers, prompt([...own(1, 7), ...own(3, 3)]))).toEqual({ index: 2, chargeTokens: 320 });
  });

  test("leaves them once they are 18 s slower than another", () => {
    const policy = made(llmd);
    teach(policy, 2, 0, prompt(own(1, 10)));
    const slower = (secs: number): Candidate[] => fleet({ pendingPromptTokens: secs * 15_926 }, {});
    expect(chosenBy(policy, slower(17.9), prompt(own(1, 10)))).toBe(0);
    expect(chosenBy(policy, slower(18.1), prompt(own(1, 10)))).toBe(1);
  });
});

test("a worker that has lost its cache is no owner any more", () => {
  for (const baseline of [smg, sglang, gieFresh, dynamo, aibrix, loadaware, llmd]) {
    const policy = made(baseline);
    teach(policy, 2, 1, prompt(own(1, 10)));
    const workers = fleet({}, {});
    policy.forget?.("w1", 1);
    expect([baseline.name, chosenBy(policy, workers, prompt(own(1, 10)))]).toEqual([baseline.name, 0]);
  }
});
