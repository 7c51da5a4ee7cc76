import { SLOTS } from "../util/slots.ts";

/**
 * An entry of the prefix index says in 32 bits that a worker has a block:
 *
 * ```
 *   31 ........... 16 | 15        | 14    | 13 ......... 0
 *   stamp of its clock| in flight | owner | the worker's slot
 * ```
 *
 * `owner` is set in each entry, so that slot 0 differs from an empty place.
 */
export const SLOT_BITS = SLOTS - 1;
export const OWNER_BIT = 1 << 14;
/** The block belongs to a request that has no first token yet, so nobody knows whether it is in the worker's cache. */
export const IN_FLIGHT_BIT = 1 << 15;
/** What an entry says besides its stamp. */
export const OWNER_BITS = SLOT_BITS | OWNER_BIT | IN_FLIGHT_BIT;
const STAMP_SHIFT = 16;
const STAMP_MASK = 0xffff;
/** In place of a stamp: the worker's own KV events say that it has the block. */
const STORED = STAMP_MASK;

/** Units of a stamp in one bound. Five bounds fit into the 16 bits of a stamp, which is why an age is never ambiguous (see `isAlive`). */
const BOUND_UNITS = 8192;
/** By so much a block may seem older than it is: with half the bound as with none, the choices on the Mooncake traces, agents, RAG and long conversations were as good. */
const RECENT_UNITS = BOUND_UNITS / 2;
/** Ticks of a clock in a unit. A tick of the largest bound is as long as the smallest block. */
const TICK_BITS = 8;
const BOUND_TICKS = BOUND_UNITS << TICK_BITS;
/** Largest bound, bytes: 67 million tokens of text. */
const MAX_BOUND_BYTES = 128 * BOUND_TICKS;

/** Cells of a slot: one cache line. */
const CELLS = 16;
/** Bytes of prompt that were new to the worker, as ticks. It wraps, so clocks are compared by difference. */
const CLOCK = 0;
/** Bytes of prompt that the worker's cache holds; 0 where it is not known. */
const BOUND = 1;
/** The clock when the worker was last forgotten. */
const START = 2;
/** 1 once a whole bound has passed since then. */
const IS_FULL = 3;
/** Time of the index when the worker was forgotten: blocks that were last used before do not count for it. */
const FORGOTTEN = 4;
/** Time of the index, and the worker's clock, when a whole bound had passed the last time. */
const MARK_TIME = 5;
const MARK_CLOCK = 6;
/** 1 while the worker's KV events are complete. */
const IS_EXACT = 7;
/** The clock when that ended. */
const EXACT_END = 8;
/** As FORGOTTEN, for entries with a stamp: the mark before the last one, or later. */
const AGED = 9;

/** Behind the slots: the last time of the index at which a worker was forgotten or passed a mark. */
const LAST_LOSS = SLOTS * CELLS;

/** Bytes of shared memory for the clocks. */
export const VOLUME_CLOCKS_BYTES = (SLOTS + 1) * CELLS * 4;

/** Times of the index more than this ago are moved up, so that differences of 32 bits stay correct. */
const MAX_AGE = 2 ** 30;

/**
 * Whether an entry was made or renewed while the last half of the worker's bound came, its clock being at `now`. It may stay as it is
 * when its block is used again.
 */
export function isRecent(entry: number, now: number): boolean {
  const stamp = entry >>> STAMP_SHIFT;
  return stamp !== STORED && (((now >>> TICK_BITS) - stamp) & STAMP_MASK) < RECENT_UNITS;
}

/**
 * How long a worker keeps a block. Its cache drops the least recently used block when it needs room, so what matters is not time but how
 * many bytes of new prompt the worker got since. Each worker has a clock that counts these bytes in shares of its bound, and an entry
 * is alive for one bound. A clock misses what happens in a cache without the gateway: traffic of others, generated tokens, and blocks
 * of two prompts that push each other out in turn.
 */
export class VolumeClocks {
  readonly #cells: Int32Array;
  readonly #defaultBound: number;

  /** `defaultBound`: bytes that a worker holds whose capacity is not known. */
  constructor(memory: SharedArrayBuffer, offset: number, defaultBound: number) {
    this.#cells = new Int32Array(memory, offset, (SLOTS + 1) * CELLS);
    this.#defaultBound = Math.min(defaultBound, MAX_BOUND_BYTES);
  }

  /**
   * Whether the worker still has the block of this entry, which was last used by any worker at `lastUse`. A block that is used again is
   * first rid of the owners that have lost it, unless no worker has passed a mark since (`mayHaveLostSince`). So if its last use was
   * before the mark before last, a whole bound has passed, and it is forgotten; and if it was later, at most four bounds have passed
   * since that mark, to which its age then (at most one) is added.
   */
  isAlive(entry: number, lastUse: number): boolean {
    const row = (entry & SLOT_BITS) * CELLS;
    const stamp = entry >>> STAMP_SHIFT;
    const clock = this.#cells[row + CLOCK] ?? 0;
    if (stamp !== STORED) {
      if (((lastUse - (this.#cells[row + AGED] ?? 0)) | 0) <= 0) return false;
      return (((clock >>> TICK_BITS) - stamp) & STAMP_MASK) < BOUND_UNITS;
    }
    if (((lastUse - (this.#cells[row + FORGOTTEN] ?? 0)) | 0) <= 0) return false;
    return this.#cells[row + IS_EXACT] === 1 || ((clock - (this.#cells[row + EXACT_END] ?? 0)) | 0) < BOUND_TICKS;
  }

  /** Whether a worker may have lost blocks since this time. */
  mayHaveLostSince(time: number): boolean {
    return ((time - (this.#cells[LAST_LOSS] ?? 0)) | 0) <= 0;
  }

  /** The last time at which a worker may have lost blocks. */
  get lastLoss(): number {
    return this.#cells[LAST_LOSS] ?? 0;
  }

  /** Notes that the worker got so many bytes that it did not have. `time` is the index's. */
  advance(slot: number, bytes: number, time: number): void {
    const row = slot * CELLS;
    // A whole number also for the compiler: with another one the addition takes ten times as long.
    const ticks = Math.min(BOUND_TICKS, Math.round(bytes * this.ticksPerByte(slot))) | 0;
    const clock = (Atomics.add(this.#cells, row + CLOCK, ticks) + ticks) | 0;
    const mark = this.#cells[row + MARK_CLOCK] ?? 0;
    if (((clock - mark) | 0) < BOUND_TICKS) return;
    // Of several threads one moves the mark.
    if (Atomics.compareExchange(this.#cells, row + MARK_CLOCK, mark, clock) !== mark) return;
    this.#cells[row + IS_FULL] = 1;
    const aged = this.#cells[row + MARK_TIME] ?? 0;
    this.#cells[row + AGED] = aged;
    // What the KV events named has no stamp, and is told by this alone once they have ended for long.
    const sinceExact = (clock - (this.#cells[row + EXACT_END] ?? 0)) | 0;
    if (this.#cells[row + IS_EXACT] !== 1 && sinceExact >= BOUND_TICKS) this.#cells[row + FORGOTTEN] = aged;
    this.#cells[row + MARK_TIME] = time;
    this.#cells[LAST_LOSS] = time;
  }

  /** The worker's clock, ticks. */
  now(slot: number): number {
    return this.#cells[slot * CELLS + CLOCK] ?? 0;
  }

  /** Ticks of the worker's clock for a byte of prompt. */
  ticksPerByte(slot: number): number {
    return BOUND_TICKS / (this.#cells[slot * CELLS + BOUND] || this.#defaultBound);
  }

  /**
   * An entry of the worker for a block that ends so many ticks behind the beginning of a prompt which it got when its clock was at `now`. Of
   * one prompt the end is dropped first.
   */
  entry(slot: number, now: number, ticks: number): number {
    const stamp = ((now - Math.min(ticks, BOUND_TICKS)) >>> TICK_BITS) & STAMP_MASK;
    return ((stamp === STORED ? stamp - 1 : stamp) << STAMP_SHIFT) | OWNER_BIT | slot;
  }

  /** An entry for a block that the worker's KV events name. */
  storedEntry(slot: number): number {
    return this.isExact(slot) ? (STORED << STAMP_SHIFT) | OWNER_BIT | slot : this.entry(slot, this.now(slot), 0);
  }

  /** Whether the worker's KV events are complete. */
  isExact(slot: number): boolean {
    return this.#cells[slot * CELLS + IS_EXACT] === 1;
  }

  /** The entry that takes the place of `old`: `entry`, unless the worker's KV events keep the old one, whatever its age. */
  renewed(old: number, entry: number): number {
    const isStored = ((old ^ entry) & SLOT_BITS) === 0 && old >>> STAMP_SHIFT === STORED;
    return isStored && this.isExact(old & SLOT_BITS) ? old : entry;
  }

  /** Bytes of prompt that the worker's cache holds. What is known already ages from now on at the new pace. */
  setBound(slot: number, bytes: number): void {
    const row = slot * CELLS;
    const bound = Math.max(1, Math.min(MAX_BOUND_BYTES, Math.round(bytes)));
    if (this.#cells[row + BOUND] !== bound) this.#cells[row + BOUND] = bound;
  }

  /** Share of its cache that a worker has filled since it was forgotten, 0 to 1. */
  fill(slot: number): number {
    const row = slot * CELLS;
    if (this.#cells[row + IS_FULL] === 1) return 1;
    return Math.min(1, (((this.#cells[row + CLOCK] ?? 0) - (this.#cells[row + START] ?? 0)) | 0) / BOUND_TICKS);
  }

  /** Whether the worker's KV events are complete from now on: then they alone say what it has. */
  setExact(slot: number, isExact: boolean): void {
    const row = slot * CELLS;
    if (!isExact) this.#cells[row + EXACT_END] = this.#cells[row + CLOCK] ?? 0;
    this.#cells[row + IS_EXACT] = isExact ? 1 : 0;
  }

  /** Forgets all blocks that were used at `time` or before, the bound, and that KV events are complete. */
  forget(slot: number, time: number): void {
    this.clear(slot, time);
    this.#cells[slot * CELLS + BOUND] = 0;
  }

  /** Forgets all blocks that were used at `time` or before, and that KV events are complete. */
  clear(slot: number, time: number): void {
    const row = slot * CELLS;
    const clock = this.#cells[row + CLOCK] ?? 0;
    Atomics.store(this.#cells, row + FORGOTTEN, time);
    Atomics.store(this.#cells, row + AGED, time);
    this.#cells[LAST_LOSS] = time;
    this.#cells[row + MARK_TIME] = time;
    this.#cells[row + MARK_CLOCK] = clock;
    this.#cells[row + START] = clock;
    this.#cells[row + IS_FULL] = 0;
    this.#cells[row + IS_EXACT] = 0;
    this.#cells[row + EXACT_END] = (clock - BOUND_TICKS) | 0;
  }

  /** Moves up times that are very long ago. */
  age(time: number): void {
    this.#age(LAST_LOSS, time);
    for (let row = 0; row < SLOTS * CELLS; row += CELLS) {
      this.#age(row + FORGOTTEN, time);
      this.#age(row + AGED, time);
      this.#age(row + MARK_TIME, time);
    }
  }

  #age(cell: number, time: number): void {
    const age = (time - Atomics.load(this.#cells, cell)) | 0;
    if (age > MAX_AGE) Atomics.store(this.#cells, cell, (time - MAX_AGE) | 0);
  }
}
