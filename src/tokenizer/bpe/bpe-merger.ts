import { sharedInt32 } from "./vocabulary.ts";

/** Tables of byte-pair merges, in shared memory. */
export interface MergeTables {
  /** Id of the token of each byte. */
  readonly byteIds: Int32Array;
  /** Open-addressed table of left id + 1, right id and rank; 0 is empty. A power of two of places, at most half full. */
  readonly pairs: Int32Array;
  /** Id that the merge of each rank makes. */
  readonly merged: Int32Array;
}

const PAIR_WIDTH = 3;
/** Positions in a word; a key of the heap is `rank * POSITIONS + position`, exact below 2^53. */
const POSITIONS = 2 ** 21;

function hashOf(left: number, right: number): number {
  const hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
  return hash ^ (hash >>> 15);
}

export interface Merge {
  readonly left: number;
  readonly right: number;
  readonly merged: number;
}

/** `merges` are in the order of their rank. Of a pair that occurs twice, the last rank counts. */
export function buildMerges(merges: readonly Merge[], byteIds: readonly number[]): MergeTables {
  const places = 2 ** Math.ceil(Math.log2(Math.max(2, merges.length * 2)));
  const pairs = sharedInt32(places * PAIR_WIDTH);
  const merged = sharedInt32(merges.length);
  for (const [rank, merge] of merges.entries()) {
    let place = hashOf(merge.left, merge.right) & (places - 1);
    while (pairs[place * PAIR_WIDTH] !== 0 && !isPair(pairs, place, merge.left, merge.right)) {
      place = (place + 1) & (places - 1);
    }
    pairs[place * PAIR_WIDTH] = merge.left + 1;
    pairs[place * PAIR_WIDTH + 1] = merge.right;
    pairs[place * PAIR_WIDTH + 2] = rank;
    merged[rank] = merge.merged;
  }
  const ids = sharedInt32(256);
  ids.set(byteIds);
  return { byteIds: ids, pairs, merged };
}

function isPair(pairs: Int32Array, place: number, left: number, right: number): boolean {
  return pairs[place * PAIR_WIDTH] === left + 1 && pairs[place * PAIR_WIDTH + 1] === right;
}

/**
 * Merges the bytes of a word: the lowest rank first, and the leftmost of equal ranks. It uses a heap over a linked list, so any
 * word of n bytes costs n log n. Not reentrant, because all calls share its scratch memory.
 */
export class BpeMerger {
  readonly #byteIds: Int32Array;
  readonly #pairs: Int32Array;
  readonly #merged: Int32Array;
  readonly #mask: number;
  /** By position: id of the symbol that begins there (-1 once it is merged into its left), and its neighbours. */
  #ids = new Int32Array(64);
  #next = new Int32Array(64);
  #previous = new Int32Array(64);
  #heap = new Float64Array(192);
  #heapSize = 0;

  constructor(tables: MergeTables) {
    this.#byteIds = tables.byteIds;
    this.#pairs = tables.pairs;
    this.#merged = tables.merged;
    this.#mask = tables.pairs.length / PAIR_WIDTH - 1;
  }

  /** Writes the ids of the first `length` bytes, at most 2^21, to `out` from `at` on; returns their number. */
  merge(bytes: Uint8Array, length: number, out: Uint32Array, at: number): number {
    this.#reserve(length);
    const ids = this.#ids;
    const next = this.#next;
    const previous = this.#previous;
    for (let index = 0; index < length; index += 1) {
      ids[index] = this.#byteIds[bytes[index] ?? 0] ?? 0;
      next[index] = index + 1 < length ? index + 1 : -1;
      previous[index] = index - 1;
    }
    this.#heapSize = 0;
    for (let index = 0; index + 1 < length; index += 1) this.#offer(index);
    while (this.#heapSize > 0) this.#apply(this.#pop());
    let count = 0;
    for (let index = 0; index >= 0 && index < length; index = next[index] ?? -1) out[at + count++] = ids[index] ?? 0;
    return count;
  }

  #reserve(length: number): void {
    if (this.#ids.length >= length) return;
    const size = 2 ** Math.ceil(Math.log2(length));
    this.#ids = new Int32Array(size);
    this.#next = new Int32Array(size);
    this.#previous = new Int32Array(size);
    // n - 1 pairs at the beginning, and two new ones for each of at most n - 1 merges.
    this.#heap = new Float64Array(size * 3);
  }

  #rankOf(left: number, right: number): number {
    const pairs = this.#pairs;
    let place = hashOf(left, right) & this.#mask;
    for (;;) {
      const key = pairs[place * PAIR_WIDTH] ?? 0;
      if (key === 0) return -1;
      if (key === left + 1 && pairs[place * PAIR_WIDTH + 1] === right) return pairs[place * PAIR_WIDTH + 2] ?? -1;
      place = (place + 1) & this.#mask;
    }
  }

  /** The rank of the symbol at a position with the next one; -1 where they have none. */
  #rankAt(position: number): number {
    const right = this.#next[position] ?? -1;
    if (right < 0) return -1;
    return this.#rankOf(this.#ids[position] ?? 0, this.#ids[right] ?? 0);
  }

  #offer(position: number): void {
    const rank = this.#rankAt(position);
    if (rank >= 0) this.#push(rank * POSITIONS + position);
  }

  #apply(key: number): void {
    const position = key % POSITIONS;
    if ((this.#ids[position] ?? -1) < 0) return;
    const merged = this.#merged[Math.floor(key / POSITIONS)] ?? 0;
    const rank = this.#rankAt(position);
    // The symbols may have changed since the pair was offered. Like the native tokenizer, compare only the merged symbol.
    if (rank < 0 || this.#merged[rank] !== merged) return;
    const right = this.#next[position] ?? -1;
    const after = this.#next[right] ?? -1;
    this.#ids[position] = merged;
    this.#ids[right] = -1;
    this.#next[position] = after;
    if (after >= 0) {
      this.#previous[after] = position;
      this.#offer(position);
    }
    const before = this.#previous[position] ?? -1;
    if (before >= 0) this.#offer(before);
  }

  #push(key: number): void {
    const heap = this.#heap;
    let child = this.#heapSize++;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      const above = heap[parent] ?? 0;
      if (above <= key) break;
      heap[child] = above;
      child = parent;
    }
    heap[child] = key;
  }

  #pop(): number {
    const heap = this.#heap;
    const top = heap[0] ?? 0;
    const size = --this.#heapSize;
    const key = heap[size] ?? 0;
    let parent = 0;
    for (;;) {
      let child = parent * 2 + 1;
      if (child >= size) break;
      if (child + 1 < size && (heap[child + 1] ?? 0) < (heap[child] ?? 0)) child += 1;
      const below = heap[child] ?? 0;
      if (below >= key) break;
      heap[parent] = below;
      parent = child;
    }
    heap[parent] = key;
    return top;
  }
}
