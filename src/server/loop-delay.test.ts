import { expect, test } from "bun:test";
import type { Clock } from "../util/clock.ts";
import { LoopDelay } from "./loop-delay.ts";

/** A clock whose timers fire late by a given time. */
class LateClock implements Clock {
  #now = 0;
  #timer: { readonly at: number; readonly action: () => void } | undefined;

  get isRunning(): boolean {
    return this.#timer !== undefined;
  }

  now(): number {
    return this.#now;
  }

  recent(): number {
    return this.#now;
  }

  after(delayMs: number, action: () => void): () => void {
    const timer = { at: this.#now + delayMs, action };
    this.#timer = timer;
    return () => {
      if (this.#timer === timer) this.#timer = undefined;
    };
  }

  fire(lateMs: number, times = 1): void {
    for (let count = 0; count < times; count += 1) {
      const timer = this.#timer;
      this.#now = (timer?.at ?? 0) + lateMs;
      timer?.action();
    }
  }
}

function create(maxMs = 200): { clock: LateClock; delay: LoopDelay } {
  const clock = new LateClock();
  return { clock, delay: new LoopDelay(maxMs, clock) };
}

test("who comes in time is not behind", () => {
  const { clock, delay } = create();
  clock.fire(3, 40);
  expect(delay.ms).toBe(3);
  expect(() => delay.check()).not.toThrow();
});

test("a long pause or two refuse nobody", () => {
  const { clock, delay } = create();
  clock.fire(0, 40);
  clock.fire(5000, 2);
  for (let count = 0; count < 40; count += 1) {
    expect(() => delay.check()).not.toThrow();
    clock.fire(0);
  }
});

test("nor do they at the start, where few measurements were made", () => {
  for (const before of [0, 1, 5, 12]) {
    const { clock, delay } = create();
    clock.fire(0, before);
    clock.fire(5000, 2);
    expect(() => delay.check()).not.toThrow();
    clock.fire(5000);
    expect(() => delay.check()).toThrow(expect.objectContaining({ code: "overloaded" }));
  }
});

test("a thread that is always late refuses, and stops a second after it no longer is", () => {
  const { clock, delay } = create();
  clock.fire(0, 40);
  clock.fire(300, 5);
  expect(delay.ms).toBe(300);
  expect(() => delay.check()).toThrow(expect.objectContaining({ code: "overloaded", details: { retryAfterSecs: 1 } }));
  clock.fire(0, 20);
  expect(() => delay.check()).not.toThrow();
});

test("also one that is seconds late each time, and has no second look within one", () => {
  const { clock, delay } = create();
  clock.fire(0, 40);
  clock.fire(3000, 3);
  expect(() => delay.check()).toThrow(expect.objectContaining({ code: "overloaded" }));
});

test("without a bound it is measured and refuses nobody", () => {
  const { clock, delay } = create(Number.POSITIVE_INFINITY);
  clock.fire(3000, 10);
  expect(delay.ms).toBe(3000);
  expect(() => delay.check()).not.toThrow();
});

test("disposed, it looks no more", () => {
  const { clock, delay } = create();
  clock.fire(0, 2);
  delay[Symbol.dispose]();
  expect(clock.isRunning).toBe(false);
});
