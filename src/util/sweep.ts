import type { Clock } from "./clock.ts";

/** How often bounds on time are looked at, ms: they hold to within this. */
export const SWEEP_MS = 100;

/** One timer for many things that are looked at now and then, running only while there are any. A timer for each would cost more than they do. */
export class Sweep implements Disposable {
  readonly #clock: Clock;
  readonly #everyMs: number;
  readonly #look: (now: number) => boolean;
  #cancel: (() => void) | undefined;

  /** `look` gets the time and says whether there is anything left to look at. */
  constructor(clock: Clock, everyMs: number, look: (now: number) => boolean) {
    this.#clock = clock;
    this.#everyMs = everyMs;
    this.#look = look;
  }

  /** There is something to look at, `everyMs` from now at the latest. */
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
