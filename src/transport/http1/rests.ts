import type { Clock } from "../../util/clock.ts";
import { Sweep } from "../../util/sweep.ts";

/** How long a connection rests at most, ms. */
export type RestMs = 1 | 4;

interface Resting {
  rested(): void;
}

/** Connections that are not read for a moment, with one timer for all whose moment is as long. */
export class Rests implements Disposable {
  readonly #short: Rest;
  readonly #long: Rest;

  constructor(clock: Clock) {
    this.#short = new Rest(clock, 1);
    this.#long = new Rest(clock, 4);
  }

  /** `rested` is called when its moment is over. */
  add(connection: Resting, ms: RestMs): void {
    (ms === 1 ? this.#short : this.#long).add(connection);
  }

  [Symbol.dispose](): void {
    this.#short[Symbol.dispose]();
    this.#long[Symbol.dispose]();
  }
}

class Rest implements Disposable {
  readonly #resting: Resting[] = [];
  readonly #sweep: Sweep;

  constructor(clock: Clock, ms: RestMs) {
    this.#sweep = new Sweep(clock, ms, () => {
      for (const connection of this.#resting.splice(0)) connection.rested();
      return false;
    });
  }

  add(connection: Resting): void {
    this.#resting.push(connection);
    this.#sweep.wake();
  }

  [Symbol.dispose](): void {
    this.#sweep[Symbol.dispose]();
  }
}
