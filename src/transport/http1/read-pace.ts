import type { RestMs } from "./rests.ts";

/** Pieces in a row, each within `HOT_GAP_MS` of the one before, after which a stream rests between two reads. */
const HOT_PIECES = 4;
const HOT_GAP_MS = 2;
/** A stream that rests goes on so while its pieces are no further apart than a rest and this: timers may be late. */
const LATE_MS = 4;
/** Bytes that come in each millisecond of a stream that rests for longer, some two or three tokens. */
const FAST_BYTES_PER_MS = 512;
/** Pieces of this size are waited for no longer than the shorter rest: more in one read saves nothing, and the kernel holds only so much. */
const LARGE_BYTES = 65_536;

/**
 * How often a stream is read, moderated as network cards do with interrupts: a read and a write for each piece is most of what
 * a piece costs, and nobody sees a millisecond at a thousand tokens a second, nor four at three thousand.
 */
export class ReadPace {
  #lastAt = 0;
  #inRow = 0;
  #rest: RestMs | 0 = 0;

  /** A piece was taken: for so many ms nothing need be read. */
  after(bytes: number, now: number): RestMs | 0 {
    const most = this.#rest === 0 ? HOT_GAP_MS : this.#rest + LATE_MS;
    this.#inRow = now - this.#lastAt < most ? this.#inRow + 1 : 0;
    this.#lastAt = now;
    if (this.#inRow < HOT_PIECES) this.#rest = 0;
    else if (bytes >= Math.max(1, this.#rest) * FAST_BYTES_PER_MS && bytes < LARGE_BYTES) this.#rest = 4;
    else this.#rest = 1;
    return this.#rest;
  }
}
