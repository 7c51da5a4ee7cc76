import type { Clock } from "../../util/clock.ts";
import { Sweep } from "../../util/sweep.ts";

/** How long a connection rests, ms. */
const REST_MS = 1;

/** Connections that are not read for a moment, with one timer for all. */
export class Rests implements Disposable {
  readonly #resting: { rested(): void }[] = [];
  readonly #sweep: Sweep;

  constructor(clock: Clock) {
    this.#sweep = new Sweep(clock, REST_MS, () => {
      for (const connection of this.#resting.splice(0)) connection.rested();
      return false;
    });
  }

  /** `rested` is called when its moment is over. */
  add(connection: { rested(): void }): void {
    this.#resting.push(connection);
    this.#sweep.wake();
  }

  [Symbol.dispose](): void {
    this.#sweep[Symbol.dispose]();
  }
}
