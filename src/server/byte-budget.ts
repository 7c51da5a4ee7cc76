import { GatewayError } from "../errors/errors.ts";

/** Bytes of request bodies that are held at once: what bounds memory where the bodies differ a thousandfold in size. */
export class ByteBudget {
  readonly #maxBytes: number;
  #held = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get held(): number {
    return this.#held;
  }

  /** Throws memory_full. */
  take(bytes: number): void {
    // One body alone may be larger: its own bound holds.
    if (this.#held > 0 && this.#held + bytes > this.#maxBytes) {
      throw new GatewayError("memory_full", "the gateway holds as many bytes of requests as it may", {
        retryAfterSecs: 1,
      });
    }
    this.#held += bytes;
  }

  giveBack(bytes: number): void {
    this.#held -= bytes;
  }
}
