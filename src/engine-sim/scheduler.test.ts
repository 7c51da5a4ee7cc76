import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { type EngineTiming, Scheduler } from "./scheduler.ts";

/** A token of a prompt takes 1 ms, a decode step 10 ms and 1 more for each sequence. */
const TIMING: EngineTiming = {
  prefillTokensPerSec: 1000,
  decodeMs: 10,
  decodeMsPerRunning: 1,
  maxRunning: 2,
  prefillChunkTokens: 100,
};

function setUp(): {
  clock: ManualClock;
  scheduler: Scheduler;
  seen: string[];
  add: (...args: [string, number, number]) => () => void;
} {
  const clock = new ManualClock();
  const scheduler = new Scheduler(TIMING, clock);
  const seen: string[] = [];
  const add = (name: string, prompt: number, tokens: number): (() => void) =>
    scheduler.add(prompt, tokens, () => seen.push(`${name} at ${clock.now()}`));
  return { clock, scheduler, seen, add };
}

test("the first token comes with the end of prefill, and each of the others after a decode step", () => {
  const { clock, scheduler, seen, add } = setUp();
  add("a", 50, 3);
  clock.advance(1000);
  expect(seen).toEqual(["a at 50", "a at 61", "a at 72"]);
  expect([scheduler.running, scheduler.waiting, clock.pending]).toEqual([0, 0, 0]);
});

test("a long prompt is prefilled in chunks, between which the others decode", () => {
  const { clock, seen, add } = setUp();
  add("short", 10, 4);
  clock.advance(10);
  add("long", 250, 1);
  clock.advance(1000);
  expect(seen).toEqual(["short at 10", "short at 21", "short at 132", "short at 243", "long at 293"]);
});

test("more than may run wait, and begin in their order", () => {
  const { clock, scheduler, seen, add } = setUp();
  for (const name of ["a", "b", "c"]) add(name, 10, 1);
  add("d", 10, 1);
  clock.advance(0);
  expect([scheduler.running, scheduler.waiting]).toEqual([1, 3]);
  clock.advance(1000);
  expect(seen.map((line) => line[0])).toEqual(["a", "b", "c", "d"]);
});

test("a sequence that is taken out gives no more tokens, and its place to another", () => {
  const { clock, seen, add } = setUp();
  const leave = add("a", 10, 100);
  add("b", 10, 100);
  add("c", 10, 1);
  clock.advance(31);
  leave();
  const before = seen.filter((line) => line.startsWith("a")).length;
  clock.advance(100);
  expect(seen.filter((line) => line.startsWith("a"))).toHaveLength(before);
  expect(seen.some((line) => line.startsWith("c"))).toBe(true);
});

test("a stopped scheduler has no timer and nothing to do", () => {
  const { clock, scheduler, seen, add } = setUp();
  add("a", 10, 5);
  scheduler.stop();
  clock.advance(1000);
  expect([seen, clock.pending, scheduler.running, scheduler.waiting]).toEqual([[], 0, 0, 0]);
});
