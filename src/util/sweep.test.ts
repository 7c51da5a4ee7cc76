import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { Sweep } from "./sweep.ts";

test("looks while there is something left, with one timer, and not after", () => {
  const clock = new ManualClock();
  const seen: number[] = [];
  let left = 2;
  const sweep = new Sweep(clock, 100, (now) => {
    seen.push(now);
    left -= 1;
    return left > 0;
  });
  expect(clock.pending).toBe(0);
  sweep.wake();
  sweep.wake();
  expect(clock.pending).toBe(1);
  clock.advance(100);
  clock.advance(100);
  expect([seen, clock.pending]).toEqual([[100, 200], 0]);
  sweep.wake();
  clock.advance(100);
  expect(seen).toEqual([100, 200, 300]);
});

test("what is woken while it looks is looked at the next time, once", () => {
  const clock = new ManualClock();
  let looks = 0;
  const sweep = new Sweep(clock, 100, () => {
    looks += 1;
    if (looks === 1) sweep.wake();
    return looks === 1;
  });
  sweep.wake();
  clock.advance(100);
  expect(clock.pending).toBe(1);
  clock.advance(100);
  expect([looks, clock.pending]).toEqual([2, 0]);
});

test("looks no more once it is disposed of", () => {
  const clock = new ManualClock();
  let looks = 0;
  const sweep = new Sweep(clock, 100, () => {
    looks += 1;
    return true;
  });
  sweep.wake();
  sweep[Symbol.dispose]();
  clock.advance(1000);
  expect([looks, clock.pending]).toEqual([0, 0]);
});
