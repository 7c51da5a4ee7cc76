import { describe, expect, test } from "bun:test";
import { runChaos } from "./chaos.ts";
import { Random } from "./random.ts";

describe("everything at once: no answer is another's, none hangs, and nothing is left", () => {
  for (const threads of [1, 2]) {
    // A seed of the day, printed, so that CI goes other ways each day and what it finds can be had again.
    const seed = Math.floor(Date.now() / 86_400_000) * 10 + threads;
    test(`threads ${threads}, seed ${seed} (bun run test/chaos/run.ts --seed ${seed} --threads ${threads})`, async () => {
      const { wrong, endings, changes } = await runChaos({ seed, threads, durationMs: 5000, clients: 12 });
      expect(wrong).toEqual([]);
      const outcomes = new Set([...endings.keys()].map((key) => key.slice(key.indexOf(": ") + 2)));
      // It would prove little if nothing went well, or nothing wrong.
      expect(outcomes).toContain("ok");
      expect(outcomes.size).toBeGreaterThan(5);
      expect(changes).toBeGreaterThan(5);
    }, 60_000);
  }
});

test("a seed gives the same sequence each time, evenly spread", () => {
  const sequence = (seed: number): number[] => {
    const random = new Random(seed);
    return Array.from({ length: 10_000 }, () => random.next());
  };
  expect(sequence(7)).toEqual(sequence(7));
  expect(sequence(7)).not.toEqual(sequence(8));
  const mean = sequence(1).reduce((sum, value) => sum + value, 0) / 10_000;
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.02);
});
