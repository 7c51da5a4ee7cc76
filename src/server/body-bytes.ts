import type { ClientRequest } from "../transport/downstream.ts";
import { heldBy } from "../transport/http1/piece-queue.ts";

/** Pieces of this size are kept as they are; smaller ones are copied into blocks, as each takes more than its bytes. */
const KEPT_BYTES = 32_768;
const LEAST_BLOCK_BYTES = 4096;
const MOST_BLOCK_BYTES = 65_536;

/** The pieces of a body, kept as they come and put together at the end. */
export class BodyBytes {
  readonly #request: Pick<ClientRequest, "hold" | "letGo">;
  readonly #parts: Uint8Array[] = [];
  /** The last part, where there is room behind what was copied into it. */
  #block: Buffer | undefined;
  #used = 0;
  /** Counted for the parts. */
  #held = 0;
  #length = 0;

  /** The pieces, and what they are copied into, are counted for the request. */
  constructor(request: Pick<ClientRequest, "hold" | "letGo">) {
    this.#request = request;
  }

  get length(): number {
    return this.#length;
  }

  /** A piece that is counted for the request. Throws memory_full. */
  add(piece: Uint8Array): void {
    const isFirst = this.#length === 0;
    this.#length += piece.length;
    const room = this.#block ? this.#block.length - this.#used : 0;
    if (piece.length > room && (isFirst || piece.length >= KEPT_BYTES)) {
      this.#closeBlock();
      this.#parts.push(piece);
      this.#held += heldBy(piece.length);
      return;
    }
    const block = piece.length > room || !this.#block ? this.#openBlock(piece.length) : this.#block;
    block.set(piece, this.#used);
    this.#used += piece.length;
    this.#request.letGo(heldBy(piece.length));
  }

  /** All of it. Nothing is added afterwards. */
  whole(): Uint8Array {
    this.#closeBlock();
    const [only] = this.#parts;
    if (only && this.#parts.length === 1) return only;
    const whole = Buffer.concat(this.#parts, this.#length);
    this.#parts.length = 0;
    this.#request.letGo(this.#held - whole.length);
    return whole;
  }

  #openBlock(atLeast: number): Buffer {
    this.#closeBlock();
    const size = Math.max(atLeast, Math.min(Math.max(this.#length, LEAST_BLOCK_BYTES), MOST_BLOCK_BYTES));
    this.#request.hold(size);
    this.#held += size;
    this.#block = Buffer.allocUnsafeSlow(size);
    return this.#block;
  }

  /** Keeps of the block what is used, so that a small piece between large ones takes no whole block. */
  #closeBlock(): void {
    if (!this.#block) return;
    const unused = this.#block.length - this.#used;
    this.#parts.push(unused === 0 ? this.#block : Buffer.from(this.#block.subarray(0, this.#used)));
    this.#request.letGo(unused);
    this.#held -= unused;
    this.#block = undefined;
    this.#used = 0;
  }
}
