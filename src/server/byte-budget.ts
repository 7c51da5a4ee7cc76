import type { ByteAccount } from "../transport/http1-server/byte-account.ts";

/** Bytes of requests that are held at once: what bounds memory where bodies differ a thousandfold in size. */
export class ByteBudget implements ByteAccount {
  readonly #maxBytes: number;
  #held = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get held(): number {
    return this.#held;
  }

  take(bytes: number, mine: number): boolean {
    // One body alone may be larger: its own bound holds.
    if (this.#held > mine && this.#held + bytes > this.#maxBytes) return false;
    this.#held += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#held -= bytes;
  }
}
