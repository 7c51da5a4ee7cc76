import type { Clock } from "../../util/clock.ts";
import { Sweep } from "../../util/sweep.ts";

/** For how long a fast stream is not read at most, ms. */
export type PauseMs = 1 | 4;

/** Pieces in a row, each within `HOT_GAP_MS` of the one before, after which reads of a stream pause between each two of them. */
const HOT_PIECES = 4;
const HOT_GAP_MS = 2;
/** A stream that pauses goes on pausing while its pieces are no further apart than a pause and this: timers may be late. */
const LATE_MS = 4;
/** Bytes that come in each millisecond of a stream whose pauses are the longer ones: some two or three tokens. */
const FAST_BYTES_PER_MS = 512;
/** Behind a piece of this size the pause is the shorter one: more in one read saves nothing, and the kernel holds only so much. */
const LARGE_BYTES = 65_536;

/**
 * Decides how often a stream is read, as network cards moderate their interrupts: the read and the write of each piece is most of what
 * the piece costs. Nobody sees a millisecond at a thousand tokens a second, nor four at three thousand.
 */
export class ReadPace {
  #lastAt = 0;
  #inRow = 0;
  #pause: PauseMs | 0 = 0;

  /** A piece was taken at this time. Returns for how many ms the stream need not be read. */
  after(bytes: number, now: number): PauseMs | 0 {
    const most = this.#pause === 0 ? HOT_GAP_MS : this.#pause + LATE_MS;
    this.#inRow = now - this.#lastAt < most ? this.#inRow + 1 : 0;
    this.#lastAt = now;
    if (this.#inRow < HOT_PIECES) this.#pause = 0;
    else if (bytes >= Math.max(1, this.#pause) * FAST_BYTES_PER_MS && bytes < LARGE_BYTES) this.#pause = 4;
    else this.#pause = 1;
    return this.#pause;
  }
}

/** A connection whose reads pause. */
interface Pausing {
  pauseOver(): void;
}

/** The connections whose reads pause. All pauses of one length share a timer. */
export class ReadPauses implements Disposable {
  readonly #short: PausesOf;
  readonly #long: PausesOf;

  constructor(clock: Clock) {
    this.#short = new PausesOf(clock, 1);
    this.#long = new PausesOf(clock, 4);
  }

  /** Calls `pauseOver` after so long at most. */
  add(connection: Pausing, ms: PauseMs): void {
    (ms === 1 ? this.#short : this.#long).add(connection);
  }

  [Symbol.dispose](): void {
    this.#short[Symbol.dispose]();
    this.#long[Symbol.dispose]();
  }
}

/** Pauses of one length. */
class PausesOf implements Disposable {
  readonly #pausing: Pausing[] = [];
  readonly #sweep: Sweep;

  constructor(clock: Clock, ms: PauseMs) {
    this.#sweep = new Sweep(clock, ms, () => {
      for (const connection of this.#pausing.splice(0)) connection.pauseOver();
      return false;
    });
  }

  add(connection: Pausing): void {
    this.#pausing.push(connection);
    this.#sweep.wake();
  }

  [Symbol.dispose](): void {
    this.#sweep[Symbol.dispose]();
  }
}
