import type { Clock } from "../util/clock.ts";
import { Deadlines } from "../util/deadlines.ts";
import type { ProbeWatch } from "./probe-watch.ts";

/** Probes that are so far off are looked after this often, ms; nearer ones ten times a second. 1,000 workers are then 26 at a time. */
const LATER_MS = 5000;
const LATER_EVERY_MS = 250;

/** Share of the interval over which probes are spread, so that a fleet is not probed all at once. The first of a settled worker is spread over all of it. */
const JITTER_RATIO = 0.1;

/** When the next probe of each address is due. Probes that are due at about the same time begin together: to wake up for each takes more CPU than the probe. */
export class ProbeTimetable implements Disposable {
  readonly #clock: Clock;
  readonly #begin: (watch: ProbeWatch) => void;
  readonly #soon: Deadlines;
  readonly #later: Deadlines;

  /** `begin`: is called when a probe is due. */
  constructor(clock: Clock, begin: (watch: ProbeWatch) => void) {
    this.#clock = clock;
    this.#begin = begin;
    this.#soon = new Deadlines(clock);
    this.#later = new Deadlines(clock, LATER_EVERY_MS);
  }

  /** The next probe is due after about this time, in place of any other. `isSettled`: the worker is well and its facts are known. */
  put(watch: ProbeWatch, intervalMs: number, isSettled: boolean): void {
    const spread = isSettled && !watch.isSpread ? 1 : JITTER_RATIO;
    watch.isSpread = isSettled;
    this.#after(watch, intervalMs * (1 - spread * Math.random()));
  }

  /** A probe that is due later than this time after the end of the last one is due then. */
  bringForward(watch: ProbeWatch, afterLastMs: number): void {
    const dueAt = watch.probedAt + afterLastMs;
    if (dueAt < watch.dueAt) this.#after(watch, Math.max(0, dueAt - this.#clock.now()));
  }

  #after(watch: ProbeWatch, delayMs: number): void {
    watch.cancel();
    watch.dueAt = this.#clock.now() + delayMs;
    const due = delayMs < LATER_MS ? this.#soon : this.#later;
    watch.cancel = due.after(delayMs, () => this.#begin(watch));
  }

  [Symbol.dispose](): void {
    this.#soon[Symbol.dispose]();
    this.#later[Symbol.dispose]();
  }
}
