import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { candidates as workers, chosenBy, createPolicy, requestWith } from "../../test/support/candidates.ts";
import type { Candidate, RequestFeatures } from "./policy.ts";
import { prefixHash } from "./prefix-hash.ts";

function asking(text: string): RequestFeatures {
  return requestWith({ promptBytes: () => Buffer.from(text) });
}

const SHARED = "You answer questions about this contract. ".repeat(30);

describe("prefix hash", () => {
  test("prompts with one beginning go to one worker, whatever follows it", () => {
    const policy = createPolicy(prefixHash);
    const idle = workers(0, 0, 0, 0, 0, 0);
    const first = chosenBy(policy, idle, asking(`${SHARED}Who signed?`));
    for (const question of ["When?", "Where is the seal?", "x".repeat(5000)]) {
      expect(chosenBy(policy, idle, asking(SHARED + question))).toBe(first);
    }
  });

  test("prompts that differ before the end of the prefix are spread", () => {
    const policy = createPolicy(prefixHash);
    const idle = workers(0, 0, 0, 0);
    const chosen = new Set(
      Array.from({ length: 60 }, (_, index) => chosenBy(policy, idle, asking(`${index} ${SHARED}`))),
    );
    expect(chosen.size).toBe(4);
  });

  test("the length of the prefix can be set", () => {
    const short = createPolicy(prefixHash, { prefixTokenCount: 16 });
    const idle = workers(0, 0, 0, 0, 0, 0, 0, 0);
    const chosen = (length: number): number =>
      new Set(Array.from({ length: 40 }, (_, index) => chosenBy(short, idle, asking("s".repeat(length) + index)))).size;
    expect(chosen(64)).toBe(1);
    expect(chosen(60)).toBeGreaterThan(3);
  });

  test("a worker with too many requests passes its prompts on to one other, as long as it has too many", () => {
    const policy = createPolicy(prefixHash, { prefixHashLoadFactor: 1.25, prefixHashBalanceAbsThreshold: 0 });
    const idle = workers(10, 10, 10, 10);
    const mine = chosenBy(policy, idle, asking(SHARED));
    const loads = [10, 10, 10, 10];
    loads[mine] = 20;
    const spilled = new Set(Array.from({ length: 20 }, () => chosenBy(policy, workers(...loads), asking(SHARED))));
    expect(spilled.size).toBe(1);
    expect(spilled.has(mine)).toBe(false);
    loads[mine] = 12;
    expect(chosenBy(policy, workers(...loads), asking(SHARED))).toBe(mine);
  });

  test("a few requests more than the mean are no reason to lose the cache", () => {
    const policy = createPolicy(prefixHash);
    const mine = chosenBy(policy, workers(0, 0), asking(SHARED));
    const loads = (own: number): Candidate[] => workers(...(mine === 0 ? [own, 0] : [0, own]));
    // The mean is half of it: 20 requests are 10 more.
    expect([chosenBy(policy, loads(20), asking(SHARED)), chosenBy(policy, loads(30), asking(SHARED))]).toEqual([
      mine,
      1 - mine,
    ]);
  });

  test("nobody gets a prompt for its prefix who has more requests than the factor and the threshold allow", () => {
    const policy = createPolicy(prefixHash);
    fc.assert(
      fc.property(
        fc.array(fc.nat(200), { minLength: 1, maxLength: 30 }),
        fc.string({ minLength: 1 }),
        (loads, text) => {
          const mean = (loads.reduce((sum, load) => sum + load, 0) + 1) / loads.length;
          const chosen = loads[chosenBy(policy, workers(...loads), asking(text))] ?? Number.NaN;
          expect(chosen).toBeLessThanOrEqual(Math.max(mean * 1.25, mean + 10));
        },
      ),
    );
  });

  test("without a prompt the least loaded is taken", () => {
    expect(chosenBy(createPolicy(prefixHash), workers(3, 1, 2), requestWith())).toBe(1);
  });
});
