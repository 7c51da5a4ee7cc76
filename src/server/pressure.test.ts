import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { Pressure } from "./pressure.ts";

const NONE = { maxLoopDelayMs: Number.POSITIVE_INFINITY, maxResidentBytes: Number.POSITIVE_INFINITY };

test("without bounds nobody is refused", () => {
  using pressure = new Pressure(NONE, new ManualClock());
  expect(() => pressure.check(9)).not.toThrow();
  expect([pressure.isFull, pressure.loopDelayMs]).toEqual([false, 0]);
});

test("with full memory a request is refused unless it is the only one", () => {
  using pressure = new Pressure({ ...NONE, maxResidentBytes: 1 }, new ManualClock());
  expect(pressure.isFull).toBe(true);
  expect(() => pressure.check(1)).toThrow(expect.objectContaining({ code: "memory_full" }));
  expect(() => pressure.check(0)).not.toThrow();
});

test("a loop that is late refuses, also a request that is the only one", () => {
  const clock = new ManualClock();
  let now = 0;
  // Each timer fires 300 ms late.
  using pressure = new Pressure(
    { ...NONE, maxLoopDelayMs: 200 },
    { now: () => (now += 300), recent: () => now, after: clock.after.bind(clock) },
  );
  clock.advance(2000);
  expect(pressure.loopDelayMs).toBeGreaterThan(200);
  expect(() => pressure.check(0)).toThrow(expect.objectContaining({ code: "overloaded" }));
});

test("it looks no more once it is disposed", () => {
  const clock = new ManualClock();
  new Pressure({ maxLoopDelayMs: 1, maxResidentBytes: 1 }, clock)[Symbol.dispose]();
  expect(clock.pending).toBe(0);
});
