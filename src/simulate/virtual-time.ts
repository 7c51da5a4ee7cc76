import type { Clock } from "../util/clock.ts";

interface Timer {
  readonly at: number;
  /** Timers of the same time fire in the order in which they were set. */
  readonly order: number;
  action: (() => void) | undefined;
}

/** A clock of virtual time: it stands until its owner moves it, from timer to timer. Times in ms. */
export class VirtualTime implements Clock {
  #now = 0;
  #order = 0;
  /** A heap: the first timer is the next one. */
  readonly #timers: Timer[] = [];

  now(): number {
    return this.#now;
  }

  recent(): number {
    return this.#now;
  }

  /** When the next timer fires; Infinity where there is none. */
  get nextAt(): number {
    return this.#timers[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  after(delayMs: number, action: () => void): () => void {
    return this.at(this.#now + delayMs, action);
  }

  /** Runs `action` at a time, or at once if that is over; the returned function cancels it. */
  at(at: number, action: () => void): () => void {
    const timer: Timer = { at: Math.max(at, this.#now), order: this.#order, action };
    this.#order += 1;
    this.#timers.push(timer);
    this.#rise(this.#timers.length - 1);
    return () => {
      timer.action = undefined;
    };
  }

  /** Moves the clock on; it never goes back. No timer may be due before. */
  moveTo(at: number): void {
    this.#now = Math.max(this.#now, at);
  }

  /** Moves to the next timer and fires it. */
  fireNext(): void {
    const first = this.#timers[0];
    const last = this.#timers.pop();
    if (!first || !last) return;
    if (first !== last) {
      this.#timers[0] = last;
      this.#sink(0);
    }
    this.moveTo(first.at);
    first.action?.();
  }

  #rise(index: number): void {
    let child = index;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.#isBefore(child, parent)) return;
      this.#swap(child, parent);
      child = parent;
    }
  }

  #sink(index: number): void {
    let parent = index;
    for (;;) {
      let next = 2 * parent + 1;
      if (next + 1 < this.#timers.length && this.#isBefore(next + 1, next)) next += 1;
      if (next >= this.#timers.length || !this.#isBefore(next, parent)) return;
      this.#swap(next, parent);
      parent = next;
    }
  }

  #isBefore(one: number, other: number): boolean {
    const [a, b] = [this.#timers[one], this.#timers[other]];
    if (!a || !b) return false;
    return a.at < b.at || (a.at === b.at && a.order < b.order);
  }

  #swap(one: number, other: number): void {
    const [a, b] = [this.#timers[one], this.#timers[other]];
    if (!a || !b) return;
    this.#timers[one] = b;
    this.#timers[other] = a;
  }
}
