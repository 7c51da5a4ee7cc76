import { expect, test } from "bun:test";
import { growth } from "./soak-watch.ts";

/** Half an hour of a heap that fills by 100 MB in `teethMinutes` and is emptied then, with a leak below it. */
function saw(leakMbPerMinute: number, teethMinutes: number): { minute: number; rssMb: number }[] {
  return Array.from({ length: 900 }, (_, index) => {
    const minute = index / 30;
    const warmUp = 60 * Math.exp(-minute);
    return { minute, rssMb: 150 - warmUp + leakMbPerMinute * minute + 100 * ((minute / teethMinutes) % 1) };
  });
}

test("what the collector lets grow and takes away again is not growth, and what is kept is", () => {
  for (const teeth of [0.2, 0.37, 0.9]) {
    expect(Math.abs(growth(saw(0, teeth)))).toBeLessThan(0.5);
    expect(growth(saw(1, teeth))).toBeCloseTo(1, 0);
    expect(growth(saw(1, teeth))).toBeGreaterThan(0.5);
  }
});
