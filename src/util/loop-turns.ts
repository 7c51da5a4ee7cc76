/** What wants to know that the event loop has turned. */
export interface Turning {
  /** The loop has turned once more. True: tell me of the next turn as well. */
  turned(): boolean;
}

/** Runs `action` once, when the loop has turned; `setImmediate` but in tests. */
export type OnTurn = (action: () => void) => void;

/** Tells of the turns of the event loop: between two of them all sockets have been looked at for what has come. */
export class LoopTurns {
  readonly #onTurn: OnTurn;
  readonly #waiting = new Set<Turning>();

  constructor(onTurn: OnTurn = setImmediate) {
    this.#onTurn = onTurn;
  }

  /** Calls `turned` at the next turn. */
  add(one: Turning): void {
    if (this.#waiting.size === 0) this.#onTurn(this.#turn);
    this.#waiting.add(one);
  }

  readonly #turn = (): void => {
    for (const one of this.#waiting) if (!one.turned()) this.#waiting.delete(one);
    if (this.#waiting.size > 0) this.#onTurn(this.#turn);
  };
}
