import type { Clock } from "../util/clock.ts";

/** Time for which the same complaint is not written again, ms. */
const SILENCE_MS = 60_000;
/** Most different complaints that are remembered. */
const MAX_COMPLAINTS = 16;

/** Lets each complaint through at most once a minute, because code that fails may fail at every request. */
export class RareLines {
  readonly #clock: Clock;
  readonly #lastTold = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether this complaint is to be written now. */
  isDue(what: string): boolean {
    const now = this.#clock.now();
    if (now - (this.#lastTold.get(what) ?? Number.NEGATIVE_INFINITY) < SILENCE_MS) return false;
    // The complaints may differ each time.
    if (this.#lastTold.size >= MAX_COMPLAINTS) this.#lastTold.clear();
    this.#lastTold.set(what, now);
    return true;
  }
}
