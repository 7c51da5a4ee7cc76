import { expect, test } from "bun:test";
import { seededRandom } from "../../src/simulate/seeded-random.ts";
import type { Run } from "./compare-on.ts";
import { ratioInterval } from "./ratio-interval.ts";

const mean = (times: readonly number[]): number => times.reduce((sum, one) => sum + one, 0) / times.length;

/** A run of so many sessions of two requests each. */
function run(seed: number, sessions: number, timeOf: (session: number) => number): Run {
  const order = Array.from({ length: 2 * sessions }, (_, index) => index % sessions);
  const base = { load: "rag", target: "any", isPeer: true, failures: 0, failure: null };
  return { ...base, seed, sessions: order, ttftMs: order.map(timeOf) };
}

test("a gateway that takes the same share of the time in each session has that ratio for certain", () => {
  const random = seededRandom(7);
  const times = Array.from({ length: 60 }, () => 20 + 900 * random());
  const [own, other] = [0.8, 1].map((times_) =>
    [1, 2, 3].map((seed) => run(seed, 60, (s) => times_ * (times[s] ?? 0))),
  );
  const { ratio, least, most } = ratioInterval(own ?? [], other ?? [], mean);
  expect([ratio, least, most]).toEqual([0.8, 0.8, 0.8].map((one) => expect.closeTo(one, 9)));
});

test("an interval has the ratio in it, and is narrower with more sessions", () => {
  const random = seededRandom(8);
  const widths = [20, 500].map((sessions) => {
    const [own, other] = [[run(1, sessions, () => 100 * random())], [run(1, sessions, () => 100 * random())]];
    const { ratio, least, most } = ratioInterval(own, other, mean);
    expect(least < ratio && ratio < most).toBe(true);
    return most - least;
  });
  expect(widths[1]).toBeLessThan((widths[0] ?? 0) / 3);
});

test("the ratio is that of the means over the seeds, and seeds that only one gateway has do not count", () => {
  const own = [run(1, 4, () => 30), run(2, 4, () => 50), run(3, 4, () => 1000)];
  const other = [run(2, 4, () => 100), run(1, 4, () => 100)];
  expect(ratioInterval(own, other, mean).ratio).toBeCloseTo(0.4, 12);
});
