/**
 * One time for all threads. Each thread's clock has a start of its own, so each thread runs at its own clock's pace and is moved up to the
 * latest time that any of them has seen. Nobody is ever moved back, and no wall clock is involved.
 */
export class SharedTime {
  readonly #latest: Float64Array;
  readonly #at: number;
  readonly #nowMs: () => number;
  #offset = 0;

  /** `cells[at]` is the latest time, s; `nowMs` this thread's clock. */
  constructor(cells: Float64Array, at: number, nowMs: () => number) {
    this.#latest = cells;
    this.#at = at;
    this.#nowMs = nowMs;
  }

  /** Seconds since an arbitrary start. */
  now(): number {
    const now = this.#nowMs() / 1000 + this.#offset;
    const latest = this.#latest[this.#at] ?? 0;
    if (now < latest) {
      this.#offset += latest - now;
      return latest;
    }
    this.#latest[this.#at] = now;
    return now;
  }
}
