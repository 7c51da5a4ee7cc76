import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { ResidentMemory } from "./resident-memory.ts";

function create(maxBytes: number): {
  readonly memory: ResidentMemory;
  readonly clock: ManualClock;
  readonly state: { bytes: number; afterCollection: number; collections: number };
} {
  const clock = new ManualClock();
  const state = { bytes: 50, afterCollection: Number.POSITIVE_INFINITY, collections: 0 };
  const memory = new ResidentMemory(maxBytes, clock, {
    residentBytes: () => state.bytes,
    collect() {
      state.collections += 1;
      state.bytes = Math.min(state.bytes, state.afterCollection);
    },
  });
  return { memory, clock, state };
}

test("beyond the bound new requests are refused until it is less again", () => {
  const { memory, clock, state } = create(100);
  expect(() => memory.check(5)).not.toThrow();
  state.bytes = 101;
  clock.advance(250);
  expect(memory.isFull).toBe(true);
  expect(() => memory.check(5)).toThrow(expect.objectContaining({ code: "memory_full" }));
  state.bytes = 100;
  clock.advance(250);
  expect(() => memory.check(5)).not.toThrow();
});

test("one that is alone is served, however much it is", () => {
  const { memory, clock, state } = create(100);
  state.bytes = 1000;
  clock.advance(250);
  expect(() => memory.check(0)).not.toThrow();
  expect(() => memory.check(1)).toThrow();
});

test("what is not held any more is given back before anybody is refused, every two seconds at most", () => {
  const { memory, clock, state } = create(100);
  state.bytes = 150;
  state.afterCollection = 60;
  clock.advance(250);
  expect([memory.isFull, state.collections]).toEqual([false, 1]);
  state.bytes = 150;
  clock.advance(250);
  expect([memory.isFull, state.collections]).toEqual([true, 1]);
  clock.advance(2000);
  expect([memory.isFull, state.collections]).toEqual([false, 2]);
});

test("without a bound nothing is looked at; disposed, nothing any more", () => {
  expect(create(Number.POSITIVE_INFINITY).clock.pending).toBe(0);
  const { memory, clock } = create(100);
  expect(clock.pending).toBe(1);
  memory[Symbol.dispose]();
  expect(clock.pending).toBe(0);
});
