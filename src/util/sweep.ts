import type { Clock } from "./clock.ts";

/** Interval in which time-outs are checked, ms; they are exact to this interval. */
export const SWEEP_MS = 100;

/** One timer that checks many things now and then. It runs only while there are any. A timer for each would cost more than they do. */
export class Sweep implements Disposable {
  readonly #clock: Clock;
  readonly #everyMs: number;
  readonly #look: (now: number) => boolean;
  #cancel: (() => void) | undefined;

  /** `look` gets the time, and returns whether anything is left to check. */
  constructor(clock: Clock, everyMs: number, look: (now: number) => boolean) {
    this.#clock = clock;
    this.#everyMs = everyMs;
    this.#look = look;
  }

  /** Makes sure that `look` runs within `everyMs`. */
  wake(): void {
    this.#cancel ??= this.#clock.after(this.#everyMs, () => {
      this.#cancel = undefined;
      if (this.#look(this.#clock.now())) this.wake();
    });
  }

  [Symbol.dispose](): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
