import { beforeEach, describe, expect, test } from "bun:test";
import { ServiceRates, USUAL_TOKEN_S } from "./service-rates.ts";
import { SLOWNESS, stateBytes, workerAt } from "./shared-layout.ts";

let cells = new Float64Array(0);
let rates = new ServiceRates(cells);

beforeEach(() => {
  cells = new Float64Array(stateBytes(1) / 8);
  rates = new ServiceRates(cells);
});

/** The rates of a worker at a time: ms for each request, µs for each token. */
function ratesAt(slot: number, now: number, of = rates): [overheadMs: number, tokenUs: number] {
  of.settle(slot, now);
  of.refresh(slot, now);
  return [of.overheadS(slot) * 1e3, of.tokenS(slot) * 1e6];
}

function closeTo([overheadMs, tokenUs]: [number, number], digits: number): [number, number] {
  return [expect.closeTo(overheadMs, digits), expect.closeTo(tokenUs, digits)];
}

/** First bytes of prompts of 500 and 4,000 tokens in turn, a second apart, of a worker with these rates. Returns the time. */
function serve(slot: number, overheadS: number, tokenS: number, samples: number, from: number): number {
  let now = from;
  for (let sample = 0; sample < samples; sample += 1) {
    const work = sample % 2 === 0 ? 500 : 4000;
    now += 1;
    rates.firstByte(slot, work, overheadS + tokenS * work, now, true);
  }
  return now;
}

describe("rates", () => {
  test("are the usual ones before anything was measured", () => {
    expect(ratesAt(3, 5)).toEqual([expect.closeTo(10, 9), expect.closeTo(125, 9)]);
  });

  test("become a worker's own within a few dozen samples", () => {
    const now = serve(0, 0.02, 1e-4, 60, 0);
    const [overheadMs, tokenUs] = ratesAt(0, now + 1);
    expect(overheadMs).toBeCloseTo(20, 0);
    expect(tokenUs / 100).toBeCloseTo(1, 1);
  });

  test("of a worker that joins are the fleet's average at once", () => {
    const now = serve(0, 0.02, 1e-4, 60, 0);
    const [own, joined] = [ratesAt(0, now + 1), ratesAt(7, now + 1)];
    expect(joined[1] / own[1]).toBeCloseTo(1, 1);
  });

  test("of a worker that joins a fast fleet have nothing left of the usual ones after a few hundred samples", () => {
    const now = serve(0, 0.001, 1e-5, 300, 0);
    const [overheadMs, tokenUs] = ratesAt(7, now + 1);
    expect(overheadMs).toBeCloseTo(1, 0);
    expect(tokenUs / 10).toBeCloseTo(1, 1);
  });

  test("tell a worker that is three times slower from the others", () => {
    let now = 0;
    for (let round = 0; round < 30; round += 1) {
      now = serve(0, 0.01, 1e-4, 2, now);
      now = serve(1, 0.01, 3e-4, 2, now);
    }
    expect(ratesAt(1, now + 1)[1] / ratesAt(0, now + 1)[1]).toBeGreaterThan(2.5);
  });

  test("of a worker that is slower say so of long prompts after one short one", () => {
    const now = serve(0, 0.01, 1e-4, 30, 0);
    rates.firstByte(1, 500, 3 * (0.01 + 1e-4 * 500), now + 1, true);
    const [overheadMs, tokenUs] = ratesAt(1, now + 2);
    const [usualMs, usualUs] = ratesAt(9, now + 2);
    expect((overheadMs + 4 * tokenUs) / (usualMs + 4 * usualUs)).toBeGreaterThan(1.15);
    rates.firstByte(1, 500, 3 * (0.01 + 1e-4 * 500), now + 3, true);
    rates.firstByte(1, 4000, 3 * (0.01 + 1e-4 * 4000), now + 4, true);
    expect(ratesAt(1, now + 5)[1] / ratesAt(9, now + 5)[1]).toBeGreaterThan(2);
  });

  test("of long prompts stay near the usual ones while there were only short ones, whatever little things they tell", () => {
    for (let sample = 1; sample <= 10; sample += 1) {
      // About as long for 100 tokens as for 300: a line through these alone would make 20,000 tokens take next to nothing.
      rates.firstByte(0, 100 + 20 * sample, 0.02 + (sample % 2) / 1000, sample, true);
    }
    expect(ratesAt(0, 20)[1]).toBeGreaterThan(40);
  });

  test("of a worker that was not used for minutes drift back to the fleet's average", () => {
    let now = serve(0, 0.01, 1e-4, 40, 0);
    now = serve(1, 0.01, 3e-4, 20, now);
    now = serve(0, 0.01, 1e-4, 20, now);
    const [, soon] = ratesAt(1, now + 1);
    const [, average] = ratesAt(9, now + 1);
    const [, later] = ratesAt(1, now + 900);
    expect(soon).toBeGreaterThan(1.3 * average);
    expect(later / average).toBeCloseTo(1, 1);
  });

  test("move little for one stall, and fully within a few samples for a lasting change", () => {
    let now = serve(0, 0.01, 1e-4, 60, 0);
    const [, before] = ratesAt(0, now + 1);
    rates.firstByte(0, 4000, 30, now + 1, true);
    now += 2;
    expect(ratesAt(0, now)[1] / before).toBeLessThan(1.25);
    now = serve(0, 0.01, 4e-4, 60, now);
    expect(ratesAt(0, now + 1)[1] / 400).toBeGreaterThan(0.7);
  });

  test("learn at most a fivefold from a first byte that comes too soon", () => {
    const now = serve(0, 0.01, 1e-4, 60, 0);
    const [, before] = ratesAt(0, now + 1);
    rates.firstByte(0, 100_000, 1e-6, now + 1, true);
    expect(ratesAt(0, now + 2)[1] / before).toBeGreaterThan(0.15);
  });

  test("take first bytes within 2 ms for one step of the engine", () => {
    const alone = new Float64Array(cells.length);
    const other = new ServiceRates(alone);
    rates.firstByte(0, 1000, 0.3, 1, true);
    rates.firstByte(0, 1000, 0.001, 1.001, true);
    rates.firstByte(0, 1000, 0.001, 1.002, true);
    other.firstByte(0, 3000, 0.302, 1, true);
    expect(ratesAt(0, 2)).toEqual(closeTo(ratesAt(0, 2, other), 6));
  });

  test("learn nothing from a step with a first byte whose work is not known well", () => {
    const now = serve(0, 0.01, 1e-4, 20, 0);
    const before = ratesAt(0, now + 0.5);
    rates.firstByte(0, 4000, 2, now + 1, true);
    rates.firstByte(0, 4000, 0.001, now + 1.001, false);
    expect(ratesAt(0, now + 1.5)).toEqual(closeTo(before, 1));
    rates.firstByte(0, 4000, 2, now + 2, true);
    expect(ratesAt(0, now + 2.5)[1]).toBeGreaterThan(before[1] * 1.05);
  });

  test("are forgotten with the worker, and what the fleet knows stays", () => {
    let now = 0;
    for (let round = 0; round < 30; round += 1) {
      now = serve(0, 0.01, 1e-4, 2, now);
      now = serve(1, 0.01, 4e-4, 2, now);
    }
    const [, slow] = ratesAt(1, now + 1);
    rates.forget(1);
    const [, anew] = ratesAt(1, now + 1);
    expect(anew).toBeLessThan(0.7 * slow);
    expect(anew).toBe(ratesAt(5, now + 1)[1]);
  });

  test("are the same for each thread", () => {
    const other = new ServiceRates(cells);
    const now = serve(0, 0.03, 2e-4, 30, 0);
    expect(ratesAt(0, now + 1, other)).toEqual(ratesAt(0, now + 1));
    // Also where another thread has measured since.
    other.firstByte(0, 4000, 3, now + 2, true);
    expect(ratesAt(0, now + 3)).toEqual(ratesAt(0, now + 3, other));
  });

  test("of workers that answer only without streams are the usual ones times their slowness", () => {
    cells[workerAt(2) + SLOWNESS] = 3;
    expect(ratesAt(2, 1)[1]).toBeCloseTo(3 * USUAL_TOKEN_S * 1e6, 6);
  });
});
