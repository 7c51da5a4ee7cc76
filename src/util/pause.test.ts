import { expect, test } from "bun:test";
import { getEventListeners } from "node:events";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { settled } from "../../test/support/settled.ts";
import { pause } from "./pause.ts";

test("a pause ends after its time, and leaves nothing on the signal, however many there are", async () => {
  const clock = new ManualClock();
  const { signal } = new AbortController();
  for (let times = 0; times < 20; times += 1) {
    const pausing = pause(clock, 1000, signal);
    clock.advance(999);
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
    clock.advance(1);
    await pausing;
  }
  expect([getEventListeners(signal, "abort").length, clock.pending]).toEqual([0, 0]);
});

test("a pause ends with its signal, or does not begin, and leaves no timer", async () => {
  const clock = new ManualClock();
  const end = new AbortController();
  const pausing = pause(clock, 1000, end.signal);
  end.abort();
  await pausing;
  await pause(clock, 1000, end.signal);
  await settled();
  expect(clock.pending).toBe(0);
});
