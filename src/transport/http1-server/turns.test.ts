import { expect, test } from "bun:test";
import { Turns } from "./turns.ts";

/** Turns that pass when they are told to. */
function started(): { readonly turns: Turns; pass(): void; readonly isScheduled: boolean } {
  let scheduled: (() => void)[] = [];
  const turns = new Turns((run) => scheduled.push(run));
  return {
    turns,
    get isScheduled() {
      return scheduled.length > 0;
    },
    pass() {
      const now = scheduled;
      scheduled = [];
      for (const run of now) run();
    },
  };
}

test("who waits is called with the next turn, and not before", () => {
  const { turns, pass } = started();
  const called: string[] = [];
  turns.wait({ takeTurn: () => called.push("a") });
  expect(called).toEqual([]);
  pass();
  expect(called).toEqual(["a"]);
});

test("one that comes again and again has its turn, and others have theirs", () => {
  const { turns, pass } = started();
  const called: string[] = [];
  const greedy = {
    takeTurn() {
      called.push("greedy");
      turns.wait(greedy);
    },
  };
  turns.wait(greedy);
  pass();
  turns.wait({ takeTurn: () => called.push("other") });
  pass();
  pass();
  pass();
  expect(called).toEqual(["greedy", "greedy", "other", "greedy"]);
});

test("a thousand that wait are called one at a time, in their order", () => {
  const state = started();
  const called: number[] = [];
  for (let index = 0; index < 1000; index += 1) state.turns.wait({ takeTurn: () => called.push(index) });
  let most = 0;
  while (state.isScheduled) {
    const before = called.length;
    state.pass();
    most = Math.max(most, called.length - before);
  }
  expect(called).toEqual(Array.from({ length: 1000 }, (_, index) => index));
  expect(most).toBe(1);
});
