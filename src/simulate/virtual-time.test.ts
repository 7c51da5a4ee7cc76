import { expect, test } from "bun:test";
import fc from "fast-check";
import { VirtualTime } from "./virtual-time.ts";

function runAll(time: VirtualTime): void {
  while (time.nextAt < Number.POSITIVE_INFINITY) time.fireNext();
}

test("timers fire in the order of their times, those of one time in the order in which they were set", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20)), (delays) => {
      const time = new VirtualTime();
      const fired: (readonly [number, number])[] = [];
      for (const [order, delay] of delays.entries()) time.after(delay, () => fired.push([time.now(), order]));
      runAll(time);
      const expected = delays
        .map((delay, order) => [delay, order] as const)
        .toSorted((a, b) => a[0] - b[0] || a[1] - b[1]);
      expect(fired).toEqual(expected);
    }),
  );
});

test("a timer that is set while another fires has its own time, and one for a time that is over fires at once", () => {
  const time = new VirtualTime();
  const fired: number[] = [];
  time.after(10, () => {
    time.after(5, () => fired.push(time.now()));
    time.at(3, () => fired.push(time.now()));
  });
  runAll(time);
  expect(fired).toEqual([10, 15]);
});

test("a cancelled timer does nothing", () => {
  const time = new VirtualTime();
  let count = 0;
  const cancel = time.after(1, () => (count += 1));
  time.after(2, () => (count += 10));
  cancel();
  runAll(time);
  expect([count, time.now()]).toEqual([10, 2]);
});

test("the clock is moved on, and never back", () => {
  const time = new VirtualTime();
  time.moveTo(7);
  time.moveTo(3);
  expect(time.now()).toBe(7);
});
