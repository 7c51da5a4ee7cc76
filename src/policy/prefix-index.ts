import { MAX_BLOCKS, type PromptBlocks, SMALLEST_BLOCK_BYTES } from "./prefix-blocks.ts";

/** Places in each set of the table. A new block takes the least recently used one. */
const WAYS = 8;
/** Most workers that are remembered for a block; a further one replaces another. */
export const OWNERS = 8;
/** Largest number of slots. */
const SLOTS = 32_767;
/** Bytes of a place: key, time of last use, owners. */
const PLACE_BYTES = 4 + 4 + OWNERS * 2;
/** Bytes before the places: the time, the time at which each slot was forgotten, and padding to a cache line. */
const HEADER_BYTES = 4 * (SLOTS + 1);
/** Inserts after which old times of forgetting are moved up, so that differences of 32 bits stay correct. */
const AGING_INSERTS = 2 ** 29;
const MAX_AGE = 2 ** 30;

/** Bytes of memory for an index that remembers this many bytes of prompts. */
export function prefixIndexBytes(maxBytes: number): number {
  return HEADER_BYTES + setsFor(maxBytes) * WAYS * PLACE_BYTES;
}

function setsFor(maxBytes: number): number {
  return 2 ** Math.max(0, Math.floor(Math.log2(maxBytes / SMALLEST_BLOCK_BYTES / WAYS)));
}

/**
 * Remembers which workers have seen which prefixes of prompts. A prompt is cut into blocks; each block's hash covers the whole prefix
 * up to its end. A set-associative table in shared memory maps a hash to the workers that were sent the prefix. Its size is fixed, and
 * it evicts as it inserts. Several threads read and write it without locks; a block that another thread overwrites is forgotten, as by
 * eviction. It is approximate on purpose: hashes have 32 bits, and engines evict without notice.
 *
 * To forget a worker, the index notes the time: the worker no longer owns blocks that were last used before. The next use of such a
 * block first removes those owners, so that the new time of last use does not bring them back.
 */
export class PrefixIndex {
  readonly #setMask: number;
  /** Number of inserts so far, which is the time. It wraps, so times are compared by difference. */
  readonly #time: Int32Array;
  /** By slot: blocks last used before this time do not count for its worker. */
  readonly #forgotten: Int32Array;
  /** For each set the keys of its places, and then their times of last use: one cache line. */
  readonly #cells: Int32Array;
  /** Slots of workers plus one, OWNERS for each place; 0 means none. */
  readonly #owners: Int16Array;
  /** Hashes of the prompt of the last `match`. */
  #hashes: Int32Array = new Int32Array(0);
  /** Places of its first blocks. */
  readonly #places = new Int32Array(MAX_BLOCKS);
  #matched = 0;

  /** Room for `maxBytes` of prompt in small blocks, rounded down to a power of two; `memory` is of `prefixIndexBytes`. */
  constructor(maxBytes: number, memory: SharedArrayBuffer) {
    const sets = setsFor(maxBytes);
    const places = sets * WAYS;
    this.#setMask = sets - 1;
    this.#time = new Int32Array(memory, 0, 1);
    this.#forgotten = new Int32Array(memory, 4, SLOTS);
    this.#cells = new Int32Array(memory, HEADER_BYTES, places * 2);
    this.#owners = new Int16Array(memory, HEADER_BYTES + places * 8, places * OWNERS);
  }

  /** How many blocks of the prompt from its beginning are known. `owner` and `insert` are about this prompt until the next one. */
  match({ hashes }: PromptBlocks): number {
    this.#hashes = hashes;
    let block = 0;
    for (; block < hashes.length; block += 1) {
      const place = this.#find(hashes[block] ?? 0);
      if (place < 0) break;
      this.#places[block] = place;
    }
    this.#matched = block;
    return block;
  }

  /**
   * Slot of one of up to OWNERS workers that have seen the first `blocks` matched blocks; -1 for none. A worker that has seen a
   * block has seen all blocks before it, even if it is no longer named there.
   */
  owner(blocks: number, which: number): number {
    const place = this.#places[blocks - 1] ?? 0;
    const slot = (this.#owners[place * OWNERS + which] ?? 0) - 1;
    return slot < 0 || this.#isForgotten(slot, place) ? -1 : slot;
  }

  /** Notes that the worker gets the prompt of the last `match`. */
  insert(slot: number): void {
    const time = (Atomics.add(this.#time, 0, 1) + 1) | 0;
    if (time % AGING_INSERTS === 0) this.#age(time);
    const hashes = this.#hashes;
    for (let block = 0; block < hashes.length; block += 1) {
      const key = hashes[block] ?? 0;
      let place = block < this.#matched ? (this.#places[block] ?? 0) : this.#find(key);
      if (place < 0 || this.#cells[keyOf(place)] !== key) place = this.#claim(key);
      this.#own(place, slot, time);
      this.#cells[keyOf(place) + WAYS] = time;
    }
  }

  /** Forgets a worker that has left. Its slot may go to another worker. */
  forget(slot: number): void {
    let now: number;
    // An insert that has a later time must see this one. One that came between gets an earlier time than the next try's.
    do {
      now = Atomics.load(this.#time, 0);
      Atomics.store(this.#forgotten, slot, now);
    } while (Atomics.load(this.#time, 0) !== now);
  }

  #isForgotten(slot: number, place: number): boolean {
    return (((this.#cells[keyOf(place) + WAYS] ?? 0) - (this.#forgotten[slot] ?? 0)) | 0) <= 0;
  }

  #find(key: number): number {
    const set = key & this.#setMask;
    const first = set * WAYS * 2;
    for (let way = 0; way < WAYS; way += 1) if (this.#cells[first + way] === key) return set * WAYS + way;
    return -1;
  }

  /** An empty place of the key's set, or the least recently used one. */
  #claim(key: number): number {
    const set = key & this.#setMask;
    const first = set * WAYS * 2;
    let oldest = 0;
    for (let way = 0; way < WAYS; way += 1) {
      if (this.#cells[first + way] === 0) {
        oldest = way;
        break;
      }
      const used = this.#cells[first + WAYS + way] ?? 0;
      if (((used - (this.#cells[first + WAYS + oldest] ?? 0)) | 0) < 0) oldest = way;
    }
    const place = set * WAYS + oldest;
    this.#cells[first + oldest] = key;
    this.#owners.fill(0, place * OWNERS, (place + 1) * OWNERS);
    return place;
  }

  #own(place: number, slot: number, time: number): void {
    const first = place * OWNERS;
    let free = -1;
    let isOwner = false;
    for (let index = first; index < first + OWNERS; index += 1) {
      const owner = (this.#owners[index] ?? 0) - 1;
      if (owner === slot) isOwner = true;
      else if (owner < 0) free = index;
      else if (this.#isForgotten(owner, place)) {
        this.#owners[index] = 0;
        free = index;
      }
    }
    if (!isOwner) this.#owners[free < 0 ? first + ((time >>> 0) % OWNERS) : free] = slot + 1;
  }

  /** Clears places that were not used for very long. */
  #age(time: number): void {
    for (let slot = 0; slot < SLOTS; slot += 1) {
      const age = (time - Atomics.load(this.#forgotten, slot)) | 0;
      if (age > MAX_AGE) Atomics.store(this.#forgotten, slot, (time - MAX_AGE) | 0);
    }
  }
}

/** Index of the cell with a place's key, past two cells for each place of the sets before; that of its time is WAYS behind. */
function keyOf(place: number): number {
  return place + (place & -WAYS);
}
