import type { ByteAccount } from "../transport/http1-server/byte-account.ts";

/** Bounds the bytes of all requests together. A bound on requests alone would not bound memory, as bodies differ in size a thousandfold. */
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
    // A single body may be larger: it has its own bound.
    if (this.#held > mine && this.#held + bytes > this.#maxBytes) return false;
    this.#held += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#held -= bytes;
  }
}
