import type { Turning } from "../util/loop-turns.ts";

/** A piece of work that waits: a message of a publisher. */
interface Work {
  readonly bytes: number;
  readonly run: () => void;
}

export interface PumpParts {
  /** Milliseconds. */
  readonly now: () => number;
  /** Calls back after the next turn of the event loop (`LoopTurns`). */
  readonly turns: { add(one: Turning): void };
  /** Called when the waiting messages pass the upper bound of bytes, and when few are left. */
  readonly onPause: (isPaused: boolean) => void;
}

/** Work that is done before requests get a turn, ms. */
const STEP_MS = 1;
/** Bytes that a waiting message takes besides its payload: frames, numbers, its place in the line. */
const WORK_BYTES = 256;
/** Bytes of waiting messages at which nothing more is read, and at which reading goes on. */
const PAUSE_BYTES = 33_554_432;
const RESUME_BYTES = 8_388_608;
/** Done messages at the beginning of the line that are kept at most. */
const COMPACT_AT = 1024;

/**
 * Does the work of messages in the order in which they came, a millisecond in each turn of the event loop, because the same thread may serve
 * requests. While too many bytes wait, the sockets are not read, and the publishers wait.
 */
export class Pump implements Turning {
  readonly #parts: PumpParts;
  #waiting: Work[] = [];
  #at = 0;
  #bytes = 0;
  #isPaused = false;

  constructor(parts: PumpParts) {
    this.#parts = parts;
  }

  /** Bytes of the messages that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** `payloadBytes`: length of the message's payload. */
  add(payloadBytes: number, run: () => void): void {
    if (this.#at === this.#waiting.length) this.#parts.turns.add(this);
    const bytes = payloadBytes + WORK_BYTES;
    this.#waiting.push({ bytes, run });
    this.#bytes += bytes;
    if (!this.#isPaused && this.#bytes > PAUSE_BYTES) this.#setPaused(true);
  }

  turned(): boolean {
    const end = this.#parts.now() + STEP_MS;
    do {
      const work = this.#waiting[this.#at];
      if (!work) break;
      this.#at += 1;
      this.#bytes -= work.bytes;
      work.run();
    } while (this.#parts.now() < end);
    if (this.#isPaused && this.#bytes < RESUME_BYTES) this.#setPaused(false);
    // What is done is let go of, also where the waiting line never ends.
    if (this.#at >= COMPACT_AT) {
      this.#waiting.splice(0, this.#at);
      this.#at = 0;
    }
    if (this.#at < this.#waiting.length) return true;
    this.#waiting = [];
    this.#at = 0;
    return false;
  }

  #setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.#parts.onPause(isPaused);
  }
}
