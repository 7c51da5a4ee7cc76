/** An object that waits for a turn of the event loop. */
export interface Turning {
  /** Called when the loop has turned. Return true to be called after the next turn too. */
  turned(): boolean;
}

/** Runs `action` once, after the next turn of the loop: `setImmediate`, except in tests. */
type OnTurn = (action: () => void) => void;

/** Calls objects back after turns of the event loop. Between two turns the loop reads all sockets that have data. */
export class LoopTurns {
  readonly #onTurn: OnTurn;
  readonly #waiting = new Set<Turning>();

  constructor(onTurn: OnTurn = setImmediate) {
    this.#onTurn = onTurn;
  }

  /** Calls `one.turned` after the next turn. */
  add(one: Turning): void {
    if (this.#waiting.size === 0) this.#onTurn(this.#turn);
    this.#waiting.add(one);
  }

  readonly #turn = (): void => {
    for (const one of this.#waiting) if (!one.turned()) this.#waiting.delete(one);
    if (this.#waiting.size > 0) this.#onTurn(this.#turn);
  };
}
