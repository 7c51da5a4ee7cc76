import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { Deadlines } from "./deadlines.ts";

test("what is due runs once, within a sweep of its time, and what was cancelled does not", () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock);
  const ran: string[] = [];
  deadlines.after(250, () => ran.push("a"));
  const cancel = deadlines.after(150, () => ran.push("b"));
  deadlines.after(1000, () => ran.push("c"));
  cancel();
  clock.advance(249);
  expect(ran).toEqual([]);
  clock.advance(101);
  expect(ran).toEqual(["a"]);
  clock.advance(5000);
  expect(ran).toEqual(["a", "c"]);
});

test("one that is added while others are looked at is not lost", () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock);
  let ran = 0;
  deadlines.after(50, () => deadlines.after(50, () => (ran += 1)));
  clock.advance(500);
  expect(ran).toBe(1);
});

test("those that may wait are looked after more seldom", () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock, 1000);
  const ran: number[] = [];
  for (const delay of [100, 900, 1001]) deadlines.after(delay, () => ran.push(clock.now()));
  clock.advance(3000);
  expect(ran).toEqual([1000, 1000, 2000]);
});
