import { OWNER_BITS, SLOT_BITS, type VolumeClocks } from "./volume-clocks.ts";

/** Workers that are remembered for a block which many workers have, as the system prompt of a whole fleet. */
export const MANY_OWNERS = 64;
/** Places of the table for each list. */
const PLACES_PER_LIST = 32;
/** Lists are numbered from 1 in 16 bits. */
const MAX_LISTS = 65_535;
/** Cells of a list: its block, the time of its last use, the digest of its owners, padding to a cache line, and its entries. */
const HEAD_CELLS = 16;
const LAST_USE = 1;
const DIGEST = 2;
const LIST_CELLS = HEAD_CELLS + MANY_OWNERS;
/** A link to a list stands in place of a block's first entry; it has no OWNER_BIT. */
const LINK_SHIFT = 16;
/** Lists that are compared for the one that gives way. */
const LOOKED_AT = 4;

function listsFor(places: number): number {
  return Math.min(MAX_LISTS, Math.max(LOOKED_AT, Math.floor(places / PLACES_PER_LIST)));
}

/** Cells for the lists of a table of so many places, and one for the next number. */
export function sharedBlocksCells(places: number): number {
  return HEAD_CELLS + listsFor(places) * LIST_CELLS;
}

/**
 * Lists of owners for the blocks that more workers have than a place of the table can name. A worker's entry stands at its slot modulo
 * 64, so that it is found at once; in a fleet of more than 64 workers the newest of those that share a place is named. There are a
 * bounded number of lists: a new one takes that of a block which has not been used for long, and whose owners are then forgotten.
 */
export class SharedBlocks {
  readonly #cells: Int32Array;
  readonly #from: number;
  readonly #count: number;
  readonly #clocks: VolumeClocks;

  /** The lists are in `cells`, from the index `from` on. */
  constructor(cells: Int32Array, from: number, places: number, clocks: VolumeClocks) {
    this.#cells = cells;
    this.#from = from;
    this.#count = listsFor(places);
    this.#clocks = clocks;
  }

  /** Index of the first entry of the list that `link` leads to; -1 if it belongs to another block than `key` by now. */
  entriesOf(link: number, key: number): number {
    const list = this.#listAt((link >>> LINK_SHIFT) - 1);
    return this.#cells[list] === key ? list + HEAD_CELLS : -1;
  }

  /** A list for the block, with these owners. Returns the link to it. */
  share(key: number, owners: Iterable<number>, time: number): number {
    const number = this.#claim();
    const list = this.#listAt(number);
    this.#cells.fill(0, list, list + LIST_CELLS);
    this.#cells[list] = key;
    this.#cells[list + LAST_USE] = time;
    for (const entry of owners) this.#put(list + HEAD_CELLS, list + HEAD_CELLS + (entry & (MANY_OWNERS - 1)), entry);
    return (number + 1) << LINK_SHIFT;
  }

  /** As `BlockTable.own`, for the list whose entries begin at `first`. */
  own(first: number, entry: number, kept: number, time: number, lastUse: number): void {
    if (this.#clocks.mayHaveLostSince(lastUse)) {
      for (let index = first; index < first + MANY_OWNERS; index += 1) {
        const other = this.#cells[index] ?? 0;
        if (other !== 0 && !this.#clocks.isAlive(other, lastUse)) this.#put(first, index, 0);
      }
    }
    const at = first + (entry & (MANY_OWNERS - 1));
    const other = this.#cells[at] ?? 0;
    const isOwn = other !== 0 && ((other ^ entry) & SLOT_BITS) === 0;
    this.#put(first, at, isOwn ? this.#clocks.renewed(other, (entry & ~kept) | (other & kept)) : entry);
    this.#cells[first - HEAD_CELLS + LAST_USE] = time;
  }

  /** Takes the worker off the list, if its entry has these bits. */
  drop(first: number, slot: number, bits: number): void {
    const at = first + (slot & (MANY_OWNERS - 1));
    const entry = this.#cells[at] ?? 0;
    if (entry !== 0 && (entry & SLOT_BITS) === slot && (entry & bits) === bits) this.#put(first, at, 0);
  }

  /** Takes these bits off the worker's entry, if it is on the list. */
  clearBits(first: number, slot: number, bits: number): void {
    const at = first + (slot & (MANY_OWNERS - 1));
    const entry = this.#cells[at] ?? 0;
    if (entry !== 0 && (entry & SLOT_BITS) === slot) this.#put(first, at, entry & ~bits);
  }

  /** Whether two lists have the same owners, each of them in flight in both or in neither, by their digests. */
  areAlike(first: number, other: number): boolean {
    return this.#cells[first - HEAD_CELLS + DIGEST] === this.#cells[other - HEAD_CELLS + DIGEST];
  }

  /**
   * Puts an entry at an index of the list that begins at `first`, and its owner into the list's digest. Where two threads do so at once, the
   * digest may differ from that of a list with the same owners, which costs a reader time only.
   */
  #put(first: number, at: number, entry: number): void {
    const old = this.#cells[at] ?? 0;
    this.#cells[at] = entry;
    if (((old ^ entry) & OWNER_BITS) === 0) return;
    const digest = first - HEAD_CELLS + DIGEST;
    this.#cells[digest] = (this.#cells[digest] ?? 0) ^ digestOf(old) ^ digestOf(entry);
  }

  /** Of the next few lists in turn, the one that was used longest ago. */
  #claim(): number {
    const turn = Atomics.add(this.#cells, this.#from, LOOKED_AT) >>> 0;
    let oldest = turn % this.#count;
    for (let step = 1; step < LOOKED_AT; step += 1) {
      const other = (turn + step) % this.#count;
      const age =
        (this.#cells[this.#listAt(other) + LAST_USE] ?? 0) - (this.#cells[this.#listAt(oldest) + LAST_USE] ?? 0);
      if ((age | 0) < 0) oldest = other;
    }
    return oldest;
  }

  #listAt(number: number): number {
    return this.#from + HEAD_CELLS + number * LIST_CELLS;
  }
}

/** 0 for no owner. */
function digestOf(entry: number): number {
  const product = Math.imul(entry & OWNER_BITS, 0x9e3779b1);
  return Math.imul(product ^ (product >>> 15), 0x85ebca6b);
}
