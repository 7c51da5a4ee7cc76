import { FEW_OWNERS } from "./place-owners.ts";

/** Places in each set. A new block takes the least recently used one. */
const WAY_BITS = 3;
const WAYS = 1 << WAY_BITS;
/** Cells of a set: the keys of its places, their times of last use (both in one cache line), and FEW_OWNERS entries for each place. */
const SET_CELLS = WAYS * (2 + FEW_OWNERS);

/** In place of a block's place: it is not in the table. */
export const UNKNOWN = -1;

/** Number of sets that have so many places, rounded down to a power of two. */
export function setsFor(blocks: number): number {
  return 2 ** Math.max(0, Math.floor(Math.log2(blocks / WAYS)));
}

/** Cells of so many sets, and places in them. */
export function cellsOf(sets: number): number {
  return sets * SET_CELLS;
}
export function placesOf(sets: number): number {
  return sets * WAYS;
}

/** Index of the cell with a place's key. */
export function keyCell(place: number): number {
  return (place >>> WAY_BITS) * SET_CELLS + (place & (WAYS - 1));
}

/** Index of the cell with the time when a place's block was last used by any worker. */
export function useCell(place: number): number {
  return keyCell(place) + WAYS;
}

/** Index of the first of a place's FEW_OWNERS entries. */
export function entriesCell(place: number): number {
  return (place >>> WAY_BITS) * SET_CELLS + WAYS * 2 + (place & (WAYS - 1)) * FEW_OWNERS;
}

/**
 * Where blocks are: a set-associative table of their hashes, of a fixed size. The blocks of a prompt are looked for together; their places
 * are noted by the number of the block.
 */
export class BlockSets {
  readonly #cells: Int32Array;
  readonly #mask: number;

  /** The sets, a power of two, are at the beginning of `cells`. */
  constructor(cells: Int32Array, sets: number) {
    this.#cells = cells;
    this.#mask = sets - 1;
  }

  /** The place of a block, or UNKNOWN. */
  placeOf(key: number): number {
    const set = key & this.#mask;
    const first = set * SET_CELLS;
    for (let way = 0; way < WAYS; way += 1) if (this.#cells[first + way] === key) return set * WAYS + way;
    return UNKNOWN;
  }

  /** Puts the places of a prompt's first blocks into `places`, up to one that is not known. Returns how many there are. */
  findKnown(hashes: Int32Array, places: Int32Array): number {
    let block = 0;
    for (; block < hashes.length; block += 1) {
      const place = this.placeOf(hashes[block] ?? 0);
      if (place < 0) break;
      places[block] = place;
    }
    return block;
  }

  /**
   * Puts the places of the blocks from the number `from` on into `places`. The first place of each set is looked at before the others of any,
   * with nothing done in between: a processor then fetches many sets from memory at a time.
   */
  findPlaces(hashes: Int32Array, from: number, places: Int32Array): void {
    const cells = this.#cells;
    for (let block = from; block < hashes.length; block += 1) {
      const key = hashes[block] ?? 0;
      const set = key & this.#mask;
      places[block] = cells[set * SET_CELLS] === key ? set * WAYS : UNKNOWN;
    }
    for (let block = from; block < hashes.length; block += 1) {
      if ((places[block] ?? UNKNOWN) < 0) places[block] = this.placeOf(hashes[block] ?? 0);
    }
  }

  /** A place for a block that has none: an empty one of its set, or the least recently used one. Its entries are those of the block before. */
  take(key: number, time: number): number {
    const cells = this.#cells;
    const set = key & this.#mask;
    const first = set * SET_CELLS;
    let taken = 0;
    for (let way = 0; way < WAYS; way += 1) {
      // Places are taken in order, so that none behind an empty one is in use.
      if (cells[first + way] === 0) {
        taken = way;
        break;
      }
      if ((((cells[first + WAYS + way] ?? 0) - (cells[first + WAYS + taken] ?? 0)) | 0) < 0) taken = way;
    }
    cells[first + taken] = key;
    cells[first + WAYS + taken] = time;
    return set * WAYS + taken;
  }
}
