import type { Clock } from "../util/clock.ts";

/**
 * Shares the answer to a costly question that everybody may ask. The question is asked once at a time, and its answer, or its
 * error, is shared for `keptMs`.
 */
export class SharedAnswer<T> {
  readonly #ask: () => Promise<T>;
  readonly #keptMs: number;
  readonly #clock: Clock;
  #answer: Promise<T> | undefined;
  /** Until when the answer is shared; Infinity while the question is open. */
  #until = 0;

  constructor(ask: () => Promise<T>, keptMs: number, clock: Clock) {
    this.#ask = ask;
    this.#keptMs = keptMs;
    this.#clock = clock;
  }

  get(): Promise<T> {
    if (this.#answer && this.#clock.now() < this.#until) return this.#answer;
    this.#until = Number.POSITIVE_INFINITY;
    this.#answer = this.#ask().finally(() => {
      this.#until = this.#clock.now() + this.#keptMs;
    });
    return this.#answer;
  }
}
