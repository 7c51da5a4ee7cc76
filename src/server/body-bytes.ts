import type { ClientRequest } from "../transport/downstream.ts";
import { heldBy } from "../transport/http1/piece-queue.ts";

/** Pieces of this size, bytes, or more are kept. Smaller ones are copied into blocks, because each takes more memory than its bytes. */
const KEPT_BYTES = 32_768;
const LEAST_BLOCK_BYTES = 4096;
const MOST_BLOCK_BYTES = 65_536;

/** Collects the pieces of a body, and joins them at the end. */
export class BodyBytes {
  readonly #request: Pick<ClientRequest, "hold" | "letGo">;
  readonly #parts: Uint8Array[] = [];
  /** The last part, while its block has room. */
  #block: Buffer | undefined;
  #used = 0;
  /** Bytes that are counted for the parts. */
  #held = 0;
  #length = 0;

  /** The pieces and their blocks are counted for the request. */
  constructor(request: Pick<ClientRequest, "hold" | "letGo">) {
    this.#request = request;
  }

  get length(): number {
    return this.#length;
  }

  /** Adds a piece, which is already counted for the request. Throws memory_full. */
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

  /** Joins the whole body. Do not add anything afterwards. */
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

  /** Keeps only the used part of the block, so that a small piece between large ones does not take a whole block. */
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
