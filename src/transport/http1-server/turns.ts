/** Who has a request that waits behind another one. */
export interface Waiting {
  /** Takes it up. */
  takeTurn(): void;
}

/** Requests of that kind which are taken up between two looks at the sockets: half a millisecond to one of small ones. */
const A_TURN = 16;

/**
 * Requests that came behind each other on their connections are taken up in turn, one of each connection, and only so many
 * before all sockets are looked at again: whoever sends thousands at once waits behind those who send one.
 */
export class Turns {
  #waiting: Waiting[] = [];
  readonly #schedule: (run: () => void) => void;

  /** `schedule` runs its argument once the sockets have been looked at. */
  constructor(schedule: (run: () => void) => void = setImmediate) {
    this.#schedule = schedule;
  }

  /** Calls it when its turn comes; never at once. */
  wait(waiting: Waiting): void {
    if (this.#waiting.push(waiting) === 1) this.#schedule(this.#run);
  }

  readonly #run = (): void => {
    const next = this.#waiting.slice(0, A_TURN);
    this.#waiting = this.#waiting.slice(A_TURN);
    if (this.#waiting.length > 0) this.#schedule(this.#run);
    for (const waiting of next) waiting.takeTurn();
  };
}
