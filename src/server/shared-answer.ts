import type { Clock } from "../util/clock.ts";

/**
 * The answer to a question that costs somebody else something and that anybody may ask: it is asked once at a time, and what
 * comes of it, an error as well, holds for `keptMs` from then on.
 */
export class SharedAnswer<T> {
  readonly #ask: () => Promise<T>;
  readonly #keptMs: number;
  readonly #clock: Clock;
  #answer: Promise<T> | undefined;
  /** Until when the answer holds; Infinity while it is being asked for. */
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
