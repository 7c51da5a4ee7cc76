import { expect, test } from "bun:test";
import { LoopTurns } from "../util/loop-turns.ts";
import { Pump } from "./pump.ts";

/** A loop that turns when the test says so, and a clock that each piece of work moves on. */
function setUp(costMs = 0.3) {
  const turns: (() => void)[] = [];
  const pauses: boolean[] = [];
  const done: number[] = [];
  let now = 0;
  const pump = new Pump({
    now: () => now,
    turns: new LoopTurns((action) => void turns.push(action)),
    onPause: (isPaused) => void pauses.push(isPaused),
  });
  return {
    pump,
    pauses,
    done,
    add: (name: number, bytes = 10) =>
      pump.add(bytes, () => {
        now += costMs;
        done.push(name);
      }),
    /** Turns the loop once. Returns whether it had something to do. */
    turn: (): boolean => {
      const actions = turns.splice(0);
      for (const action of actions) action();
      return actions.length > 0;
    },
  };
}

test("work is done in order, a millisecond in each turn of the loop", () => {
  const { add, done, turn } = setUp();
  for (let name = 0; name < 10; name += 1) add(name);
  expect(done).toEqual([]);
  turn();
  expect(done).toEqual([0, 1, 2, 3]);
  add(10);
  while (turn());
  expect(done).toEqual(Array.from({ length: 11 }, (_, name) => name));
  add(11);
  turn();
  expect([done.at(-1), turn()]).toEqual([11, false]);
});

test("work that is longer than a millisecond is done all the same, one piece in each turn", () => {
  const { add, done, turn } = setUp(50);
  add(0);
  add(1);
  turn();
  expect(done).toEqual([0]);
  turn();
  expect(done).toEqual([0, 1]);
});

test("when too many bytes wait, reading stops, and goes on when few are left", () => {
  const { add, pump, pauses, turn } = setUp(10);
  for (let name = 0; name < 34; name += 1) add(name, 1_000_000);
  expect([pauses, pump.bytes]).toEqual([[true], 34_000_000 + 34 * 256]);
  while (pump.bytes > 9_002_304) turn();
  expect(pauses).toEqual([true]);
  turn();
  expect(pauses).toEqual([true, false]);
  while (turn());
  expect([pauses, pump.bytes]).toEqual([[true, false], 0]);
});

test("messages that are next to nothing count too: they are bounded by number", () => {
  const { add, pauses } = setUp();
  for (let name = 0; name < 131_072; name += 1) add(name, 0);
  expect(pauses).toEqual([]);
  add(131_072, 0);
  expect(pauses).toEqual([true]);
});

test("a line that never ends lets go of what is done", () => {
  const { add, done, pump, turn } = setUp(0.001);
  for (let name = 0; name < 5000; name += 1) {
    add(name);
    if (name % 10 === 9) turn();
  }
  while (turn());
  expect([done.length, pump.bytes]).toEqual([5000, 0]);
});
