import { describe, expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { ProbeTimetable } from "./probe-timetable.ts";
import { newWatch, type ProbeWatch } from "./probe-watch.ts";

interface Setup {
  readonly clock: ManualClock;
  readonly timetable: ProbeTimetable;
  readonly watch: ProbeWatch;
  /** When probes began, ms. */
  readonly begun: readonly number[];
}

function setUp(): Setup {
  const clock = new ManualClock();
  const begun: number[] = [];
  const timetable = new ProbeTimetable(clock, () => begun.push(clock.now()));
  return { clock, timetable, watch: newWatch("http://one:1", 0), begun };
}

function pass(clock: ManualClock, ms: number): void {
  for (let step = 0; step < ms; step += 50) clock.advance(50);
}

describe("the next probe of a worker", () => {
  test("is due within a tenth before its interval has passed, and is made once", () => {
    for (const intervalMs of [1000, 60_000]) {
      const { clock, timetable, watch, begun } = setUp();
      timetable.put(watch, intervalMs, false);
      pass(clock, 3 * intervalMs);
      expect(begun).toHaveLength(1);
      expect(begun[0]).toBeGreaterThanOrEqual(0.9 * intervalMs);
      // They are looked after ten times a second, or four times where they are far off.
      expect(begun[0]).toBeLessThanOrEqual(intervalMs + 250);
    }
  });

  test("is brought forward to a time after the last one, at once where that has passed, and never put off", () => {
    const { clock, timetable, watch, begun } = setUp();
    pass(clock, 5000);
    watch.probedAt = 5000;
    timetable.put(watch, 60_000, false);
    timetable.bringForward(watch, 2000);
    timetable.bringForward(watch, 30_000);
    pass(clock, 60_000);
    expect(begun).toHaveLength(1);
    expect(begun[0]).toBeGreaterThanOrEqual(7000);
    expect(begun[0]).toBeLessThanOrEqual(7100);
    timetable.put(watch, 60_000, false);
    timetable.bringForward(watch, 2000);
    pass(clock, 100);
    expect(begun).toHaveLength(2);
  });

  test("is made no more when the timetable is closed", () => {
    const { clock, timetable, watch, begun } = setUp();
    timetable.put(watch, 1000, false);
    timetable[Symbol.dispose]();
    pass(clock, 5000);
    expect([begun, clock.pending]).toEqual([[], 0]);
  });
});
