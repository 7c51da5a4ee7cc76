/** Places in each set. A new block takes the least recently used one. */
const WAYS = 5;
/** Bits of a place's number that say which place of its set it is. */
const WAY_BITS = 3;
/** Cells of a set: the keys of its places, their times of last use, and an entry for each: all in one cache line, which is all that a new block touches. */
const SET_CELLS = 16;
const LAST_WAY = (1 << WAY_BITS) - 1;
/** Times longer ago than this are alike. */
const OLDEST = 2 ** 28 - 1;

/** In place of a block's place: it is not in the table. */
export const UNKNOWN = -1;

/** Number of sets that have about so many places, a power of two: five eighths of them to five quarters. */
export function setsFor(blocks: number): number {
  return 2 ** Math.max(0, Math.floor(Math.log2(blocks / 4)));
}

/** Cells of so many sets, and places in them. */
export function cellsOf(sets: number): number {
  return sets * SET_CELLS;
}
export function placesOf(sets: number): number {
  return sets * WAYS;
}

/** Which of the `placesOf` all places it is. */
export function numberOf(place: number): number {
  return (place >>> WAY_BITS) * WAYS + (place & LAST_WAY);
}

/** Index of the cell with a place's key. */
export function keyCell(place: number): number {
  return (place >>> WAY_BITS) * SET_CELLS + (place & LAST_WAY);
}

/** Index of the cell with the time when a place's block was last used by any worker. */
export function useCell(place: number): number {
  return keyCell(place) + WAYS;
}

/** Index of a place's entry. */
export function entryCell(place: number): number {
  return keyCell(place) + 2 * WAYS;
}

/** Where blocks are: a set-associative table of their hashes, of a fixed size. */
export class BlockSets {
  readonly #cells: Int32Array;
  readonly #mask: number;
  /** Where `touch` leaves what it has read, for nobody: the compiler would leave out what has no effect. */
  readonly #touched = new Int32Array(1);

  /** The sets, a power of two, are at the beginning of `cells`. */
  constructor(cells: Int32Array, sets: number) {
    this.#cells = cells;
    this.#mask = sets - 1;
  }

  /** The place of a block, or UNKNOWN. Place by place, without a loop: so a choice by a long prompt takes a tenth less time. */
  placeOf(key: number): number {
    const cells = this.#cells;
    const set = key & this.#mask;
    const first = set * SET_CELLS;
    const place = set << WAY_BITS;
    if (cells[first] === key) return place;
    if (cells[first + 1] === key) return place | 1;
    if (cells[first + 2] === key) return place | 2;
    if (cells[first + 3] === key) return place | 3;
    return cells[first + 4] === key ? place | 4 : UNKNOWN;
  }

  /**
   * Touches the sets of the blocks from the number `from` to before `to`, with nothing done in between that depends on what is there: a processor
   * then fetches all of them from memory at a time.
   */
  touch(hashes: Int32Array, from: number, to: number): void {
    const cells = this.#cells;
    let touched = 0;
    for (let block = from; block < to; block += 1) {
      touched ^= cells[((hashes[block] ?? 0) & this.#mask) * SET_CELLS] ?? 0;
    }
    this.#touched[0] = touched;
  }

  /** A place for a block that has none: an empty one of its set, or the least recently used one. Its entry is that of the block before. */
  take(key: number, time: number): number {
    const cells = this.#cells;
    const set = key & this.#mask;
    const uses = set * SET_CELLS + WAYS;
    const oldest = Math.max(
      aged(cells[uses] ?? 0, time),
      aged(cells[uses + 1] ?? 0, time) | 1,
      aged(cells[uses + 2] ?? 0, time) | 2,
      aged(cells[uses + 3] ?? 0, time) | 3,
      aged(cells[uses + 4] ?? 0, time) | 4,
    );
    const way = oldest & LAST_WAY;
    cells[uses - WAYS + way] = key;
    cells[uses + way] = time;
    return (set << WAY_BITS) | way;
  }
}

/**
 * How long ago a time is, with room for the number of a place in the lowest bits. A place that was never used has the time 0. Other threads may
 * be a little ahead, which is a little while ago as well.
 */
function aged(use: number, time: number): number {
  const age = (time - use) | 0;
  return Math.min(age ^ (age >> 31), OLDEST) << WAY_BITS;
}
