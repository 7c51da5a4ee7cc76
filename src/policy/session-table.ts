import { SLOTS } from "../util/slots.ts";
import type { AllocateShared } from "./policy.ts";

/** Places in each set of the table. A new session takes a free place, one that is idle for too long, or the one that is idle longest. */
const WAYS = 8;
/** Cells of a place: two hashes of the key, the worker's slot plus one (0: free), and the time of the last request, s. */
const CELLS = 4;
const SLOT = 2;
const USED = 3;
/** Cells before the places: the time of the last count, and the outcomes. */
const HEADER = 16;
/** Seed of the second hash. */
const SECOND_SEED = 0x5bd1e995;
/** How often the sessions of each worker are counted anew, s: a count of 65,536 sessions takes 0.1 ms. */
const COUNT_EACH_SECS = 10;

/**
 * What became of a request with a session:
 * - `kept`: it went to the session's worker.
 * - `new`: the session had no worker.
 * - `lost`: the session's worker could not take it, so the session has another worker now.
 * - `moved`: staying would have cost more than leaving, so the session has another worker now.
 * - `finished`: a client said that the session is over.
 */
export const SESSION_OUTCOMES = ["kept", "new", "lost", "moved", "finished"] as const;
export type SessionOutcome = (typeof SESSION_OUTCOMES)[number];

export interface SessionTableOptions {
  /** A session without a request for this long is forgotten, s. */
  readonly maxIdleSecs: number;
  /** Most sessions that are remembered, rounded down to a power of two; with more, those that are idle longest are forgotten. */
  readonly maxSessions: number;
}

/**
 * Which worker each session has. The threads have one table, in shared memory, without locks. Where two of them write one place at
 * once, a session gets another worker, as if it were new; keys are hashes of 64 bits, so two sessions are practically never one.
 */
export class SessionTable {
  readonly #cells: Int32Array;
  /** Sessions of each worker, by slot. They are exact after each count. */
  readonly #counts: Int32Array;
  /** Time of the last count, s, and how often each outcome came. */
  readonly #header: Int32Array;
  readonly #setMask: number;
  readonly #maxIdleSecs: number;
  /** The key of the last `find`, and the place of its session, or -1. */
  #one = 0;
  #other = 0;
  #place = -1;

  constructor({ maxIdleSecs, maxSessions }: SessionTableOptions, memory: AllocateShared) {
    const sets = 2 ** Math.max(0, Math.floor(Math.log2(maxSessions / WAYS)));
    const all = new Int32Array(memory((HEADER + SLOTS + sets * WAYS * CELLS) * Int32Array.BYTES_PER_ELEMENT));
    this.#header = all.subarray(0, HEADER);
    this.#counts = all.subarray(HEADER, HEADER + SLOTS);
    this.#cells = all.subarray(HEADER + SLOTS);
    this.#setMask = sets - 1;
    this.#maxIdleSecs = maxIdleSecs;
  }

  /** Slot of the session's worker; -1 where the session is not known. `keep` and `assign` are about this session until the next `find`. */
  find(key: string, nowMs: number): number {
    this.#one = Bun.hash.xxHash32(key) | 0;
    this.#other = Bun.hash.xxHash32(key, SECOND_SEED) | 0;
    this.#place = -1;
    const first = (this.#one & this.#setMask) * WAYS * CELLS;
    for (let at = first; at < first + WAYS * CELLS; at += CELLS) {
      if (this.#cells[at] !== this.#one || this.#cells[at + 1] !== this.#other) continue;
      const slot = (this.#cells[at + SLOT] ?? 0) - 1;
      if (slot < 0 || this.#isIdle(at, secs(nowMs))) continue;
      this.#place = at;
      return slot;
    }
    return -1;
  }

  /** The session goes on with its worker. */
  keep(nowMs: number): void {
    this.#cells[this.#place + USED] = secs(nowMs);
    this.note("kept");
  }

  /** Gives the session this worker from now on. */
  assign(slot: number, nowMs: number): void {
    const now = secs(nowMs);
    const at = this.#place >= 0 ? this.#place : this.#claim(now);
    this.#count((this.#cells[at + SLOT] ?? 0) - 1, -1);
    this.#cells[at] = this.#one;
    this.#cells[at + 1] = this.#other;
    this.#cells[at + USED] = now;
    this.#cells[at + SLOT] = slot + 1;
    this.#count(slot, 1);
  }

  /** Forgets a session. Returns whether it was known. */
  finish(key: string, nowMs: number): boolean {
    if (this.find(key, nowMs) < 0) return false;
    this.#free(this.#place);
    this.note("finished");
    return true;
  }

  /** Forgets the sessions of a worker that has left. Its slot may go to another worker. */
  forget(slot: number): void {
    for (let at = 0; at < this.#cells.length; at += CELLS) {
      if (this.#cells[at + SLOT] === slot + 1) this.#free(at);
    }
  }

  /** Sessions that a worker has; those that became idle within the last seconds may still count. */
  sessionsOf(slot: number, nowMs: number): number {
    const now = secs(nowMs);
    const before = Atomics.load(this.#header, 0);
    if (((now - before) | 0) >= COUNT_EACH_SECS && Atomics.compareExchange(this.#header, 0, before, now) === before) {
      this.#countAll(now);
    }
    return Math.max(0, Atomics.load(this.#counts, slot));
  }

  /** All sessions that are not idle for too long. */
  size(nowMs: number): number {
    let size = 0;
    const now = secs(nowMs);
    for (let at = 0; at < this.#cells.length; at += CELLS) {
      if (this.#cells[at + SLOT] !== 0 && !this.#isIdle(at, now)) size += 1;
    }
    return size;
  }

  note(outcome: SessionOutcome): void {
    Atomics.add(this.#header, 1 + SESSION_OUTCOMES.indexOf(outcome), 1);
  }

  /** How often each outcome came since the beginning; a count wraps at 32 bits. */
  outcomes(outcome: SessionOutcome): number {
    return Atomics.load(this.#header, 1 + SESSION_OUTCOMES.indexOf(outcome)) >>> 0;
  }

  #isIdle(at: number, now: number): boolean {
    return ((now - (this.#cells[at + USED] ?? 0)) | 0) >= this.#maxIdleSecs;
  }

  /** A free place of the set of the last key, one that is idle for too long, or the one that is idle longest. */
  #claim(now: number): number {
    const first = (this.#one & this.#setMask) * WAYS * CELLS;
    let oldest = first;
    for (let at = first; at < first + WAYS * CELLS; at += CELLS) {
      if (this.#cells[at + SLOT] === 0 || this.#isIdle(at, now)) return at;
      if ((((this.#cells[at + USED] ?? 0) - (this.#cells[oldest + USED] ?? 0)) | 0) < 0) oldest = at;
    }
    return oldest;
  }

  #free(at: number): void {
    this.#count((this.#cells[at + SLOT] ?? 0) - 1, -1);
    this.#cells[at + SLOT] = 0;
  }

  #count(slot: number, by: number): void {
    if (slot >= 0) Atomics.add(this.#counts, slot, by);
  }

  #countAll(now: number): void {
    this.#counts.fill(0);
    for (let at = 0; at < this.#cells.length; at += CELLS) {
      if (this.#isIdle(at, now)) this.#cells[at + SLOT] = 0;
      this.#count((this.#cells[at + SLOT] ?? 0) - 1, 1);
    }
  }
}

/** Whole seconds in 32 bits; compared by difference. */
function secs(ms: number): number {
  return Math.floor(ms / 1000) | 0;
}
