import { BlockTable, blockTableBytes } from "./block-table.ts";
import { blocksEnd, MAX_BLOCKS, type PromptBlocks, SMALLEST_BLOCK_BYTES } from "./prefix-blocks.ts";
import { CACHE_TRUST_BYTES, CacheTrust } from "./cache-trust.ts";
import { IN_FLIGHT_BIT, OWNER_BIT, SLOT_BITS, VOLUME_CLOCKS_BYTES, VolumeClocks } from "./volume-clocks.ts";

/** Most workers that one search finds. */
export const MOST_FOUND = 64;
/** Where the parts are in the memory: the time, padded to a cache line, the clocks of the workers, the trust in them, and the blocks. */
const CLOCKS_AT = 64;
const TRUST_AT = CLOCKS_AT + VOLUME_CLOCKS_BYTES;
const TABLE_AT = TRUST_AT + CACHE_TRUST_BYTES;
/** Inserts after which old times are moved up, so that differences of 32 bits stay correct. */
const AGING_INSERTS = 2 ** 29;

const NOTHING: PromptBlocks = { hashes: new Int32Array(0), bytes: 0 };

/** Bytes of memory for an index that remembers this many bytes of prompts. */
export function prefixIndexBytes(maxBytes: number): number {
  return TABLE_AT + blockTableBytes(maxBytes / SMALLEST_BLOCK_BYTES);
}

/**
 * Remembers which workers have which prefixes of prompts in their caches. A prompt is cut into blocks; each block's hash covers the
 * whole prefix up to its end. A set-associative table in shared memory maps a hash to the workers that were sent the prefix. Its size is
 * fixed, and it evicts as it inserts. Several threads read and write it without locks; what two of them write at once is lost, as by
 * eviction. It is approximate on purpose: hashes have 32 bits, and engines evict without notice. `VolumeClocks` says how long a
 * worker keeps a block.
 *
 * The calls for one request:
 *
 * ```
 *   match -- find -- slotAt, bytesAt, safeBytesAt -- insert -- settle (first token)
 *                                                       \----- withdraw (ended without one)
 * ```
 *
 * To forget a worker, the index notes the time: the worker no longer owns blocks that were last used before. The next use of such a
 * block first removes those owners, so that the new time of last use does not bring them back.
 */
export class PrefixIndex {
  /** Number of inserts so far, which is the time. It wraps, so times are compared by difference. */
  readonly #time: Int32Array;
  readonly #clocks: VolumeClocks;
  readonly #trust: CacheTrust;
  readonly #table: BlockTable;
  /** The prompt of the last `match`, and the places of its first blocks. */
  #prompt = NOTHING;
  readonly #places = new Int32Array(MAX_BLOCKS);
  #matched = 0;
  /** The workers that `find` found. */
  readonly #slots = new Int32Array(MOST_FOUND);
  readonly #bytes = new Int32Array(MOST_FOUND);
  /** -1 while only blocks in flight were seen. */
  readonly #safeBytes = new Int32Array(MOST_FOUND);
  #found = 0;
  /** The next block that a search looks at, towards the beginning; -1 after the last. */
  #nextBlock = -1;
  #unsafe = 0;
  /** By slot: the search that found it, and its number among those found. */
  readonly #foundBy = new Int32Array(SLOT_BITS + 1);
  readonly #numbers = new Uint8Array(SLOT_BITS + 1);
  #search = 0;

  /** Room for `maxBytes` of prompt in small blocks, rounded down to a power of two; `memory` is of `prefixIndexBytes`. */
  constructor(maxBytes: number, memory: SharedArrayBuffer) {
    this.#time = new Int32Array(memory, 0, 1);
    this.#clocks = new VolumeClocks(memory, CLOCKS_AT, maxBytes);
    this.#trust = new CacheTrust(memory, TRUST_AT);
    this.#table = new BlockTable(memory, TABLE_AT, maxBytes / SMALLEST_BLOCK_BYTES, this.#clocks);
  }

  /** How many bytes of the prompt from its beginning are known. `find` and `insert` are about this prompt until the next one. */
  match(prompt: PromptBlocks): number {
    const { hashes } = prompt;
    this.#prompt = prompt;
    let block = 0;
    for (; block < hashes.length; block += 1) {
      const place = this.#table.placeOf(hashes[block] ?? 0);
      if (place < 0) break;
      this.#places[block] = place;
    }
    this.#matched = block;
    this.#found = 0;
    this.#unsafe = 0;
    this.#nextBlock = block - 1;
    this.#search = (this.#search + 1) | 0;
    return blocksEnd(block);
  }

  /**
   * Finds the workers that have the longest prefixes of the prompt of the last `match`, the longest first, until there are `most` (up to
   * 64) or more; workers with equal prefixes are found together. May be called again to find more. A worker that has a block has all
   * blocks before it, even if it is no longer named there. Returns how many were found so far; `slotAt` and the others take
   * their numbers from 0.
   */
  find(most: number): number {
    while (this.#found < most && this.#nextBlock >= 0) this.#look();
    return this.#found;
  }

  slotAt(number: number): number {
    return this.#slots[number] ?? -1;
  }

  /** Bytes of the prompt that this worker has or is about to have. */
  bytesAt(number: number): number {
    return this.#bytes[number] ?? 0;
  }

  /** Bytes of the prompt that this worker certainly was sent and has prefilled: without what is only in flight. */
  safeBytesAt(number: number): number {
    if ((this.#safeBytes[number] ?? 0) < 0) this.#findSafe();
    return this.#safeBytes[number] ?? 0;
  }

  /** Number of a worker among those found; -1 if it is not among them. */
  numberOf(slot: number): number {
    return this.#foundBy[slot] === this.#search ? (this.#numbers[slot] ?? 0) : -1;
  }

  /**
   * Notes that the worker gets the prompt of the last `match`. Blocks that are new to it are in flight until `settle`. Returns how
   * many bytes of the prompt are new to it.
   */
  insert(slot: number): number {
    const { bytes } = this.#prompt;
    const known = this.#bytesOf(slot);
    const time = this.#tick();
    this.#clocks.advance(slot, bytes - known, time);
    this.#note(this.#prompt, slot, time, known);
    return bytes - known;
  }

  /**
   * Notes that the worker has prefilled the prompt. It had the first `safeBytes` before. While its KV events are complete, this adds no block:
   * what they have taken back meanwhile is evicted already.
   */
  settle(prompt: PromptBlocks, slot: number, safeBytes = 0): void {
    let first = 0;
    while (first < prompt.hashes.length && blocksEnd(first + 1) <= safeBytes) first += 1;
    if (first === prompt.hashes.length) return;
    if (this.#clocks.isExact(slot)) {
      for (const hash of prompt.hashes) this.#table.clearBits(hash, slot, IN_FLIGHT_BIT);
      return;
    }
    this.#matched = 0;
    this.#note(prompt, slot, Atomics.load(this.#time, 0), undefined, first);
  }

  /** Takes back what `insert` noted and nobody has settled: the worker did not prefill the prompt. */
  withdraw({ hashes }: PromptBlocks, slot: number): void {
    for (const hash of hashes) this.#table.drop(hash, slot, IN_FLIGHT_BIT);
  }

  /** Forgets a worker that has left or restarted. Its slot may go to another worker. */
  forget(slot: number): void {
    this.#trust.forget(slot);
    this.#now((now) => this.#clocks.forget(slot, now));
  }

  /** Forgets what a worker has, and that its KV events are complete: its cache was emptied. Its bound stays. */
  clear(slot: number): void {
    this.#now((now) => this.#clocks.clear(slot, now));
  }

  /** An insert that has a later time must see the change. One that came between gets an earlier time than the next try's. */
  #now(change: (now: number) => void): void {
    let now: number;
    do {
      now = Atomics.load(this.#time, 0);
      change(now);
    } while (Atomics.load(this.#time, 0) !== now);
  }

  /**
   * Bytes of prompts that the worker's cache holds; as many as the whole index until it is told. A block counts until so many bytes
   * that were new to the worker have come after it.
   */
  setBound(slot: number, bytes: number): void {
    this.#clocks.setBound(slot, bytes);
  }

  /** Share of the worker's bound that is in use, 0 to 1. */
  fill(slot: number): number {
    return this.#clocks.fill(slot);
  }

  /**
   * Compares what was known for certain of a worker's cache with what the worker found in it, both in tokens. `found`: undefined where its
   * answer does not tell.
   */
  grade(slot: number, predicted: number, found: number | undefined): void {
    this.#trust.grade(slot, predicted, found);
  }

  /** By how much to multiply what is known of the worker's cache, 0.1 to 1: the share that it found of it of late. */
  trust(slot: number): number {
    return this.#trust.of(slot);
  }

  /**
   * `true`: the worker's KV events are complete from now on, and what they name stays until they take it back. `false`: they are not,
   * and all that is known ages again. `forget` ends it as well.
   */
  setExact(slot: number, isExact: boolean): void {
    this.#clocks.setExact(slot, isExact);
  }

  /** By its KV events the worker has these blocks. */
  store(slot: number, hashes: Iterable<number>): void {
    const time = this.#tick();
    for (const hash of hashes) this.#table.own(this.#table.placeFor(hash), this.#clocks.storedEntry(slot), 0, time);
  }

  /** By its KV events the worker no longer has these blocks. */
  remove(slot: number, hashes: Iterable<number>): void {
    for (const hash of hashes) this.#table.drop(hash, slot, 0);
  }

  /** Looks who is named at the next block towards the beginning of the prompt. */
  #look(): void {
    const block = this.#nextBlock;
    this.#nextBlock -= 1;
    const place = this.#places[block] ?? 0;
    const lastUse = this.#table.lastUse(place);
    const { cells } = this.#table;
    const first = this.#table.firstEntry(place);
    const count = this.#table.entryCount(first);
    // Of many equal owners none is always found first.
    const shift = this.#search & (count - 1);
    for (let step = 0; step < count; step += 1) {
      const entry = cells[first + ((step + shift) & (count - 1))] ?? 0;
      if ((entry & OWNER_BIT) === 0) continue;
      const number = this.numberOf(entry & SLOT_BITS);
      if (number < 0) {
        if (this.#found < MOST_FOUND && this.#clocks.isAlive(entry, lastUse)) this.#add(entry, blocksEnd(block + 1));
      } else if ((entry & IN_FLIGHT_BIT) === 0 && (this.#safeBytes[number] ?? 0) < 0) {
        this.#safeBytes[number] = blocksEnd(block + 1);
        this.#unsafe -= 1;
      }
    }
  }

  #add(entry: number, bytes: number): void {
    const slot = entry & SLOT_BITS;
    const isSafe = (entry & IN_FLIGHT_BIT) === 0;
    if (!isSafe) this.#unsafe += 1;
    this.#slots[this.#found] = slot;
    this.#bytes[this.#found] = bytes;
    this.#safeBytes[this.#found] = isSafe ? bytes : -1;
    this.#foundBy[slot] = this.#search;
    this.#numbers[slot] = this.#found;
    this.#found += 1;
  }

  /** Looks for the settled blocks of all workers that were found by blocks in flight. */
  #findSafe(): void {
    while (this.#unsafe > 0 && this.#nextBlock >= 0) this.#look();
    for (let number = 0; number < this.#found; number += 1) {
      if ((this.#safeBytes[number] ?? 0) < 0) this.#safeBytes[number] = 0;
    }
    this.#unsafe = 0;
  }

  /** Bytes of the prompt of the last `match` that the worker has. */
  #bytesOf(slot: number): number {
    while (this.#foundBy[slot] !== this.#search && this.#nextBlock >= 0) this.#look();
    const number = this.numberOf(slot);
    return number < 0 ? 0 : this.bytesAt(number);
  }

  /** Makes the worker an owner of all blocks from `first` on. Those behind `known` bytes are in flight; without it none is. */
  #note({ hashes }: PromptBlocks, slot: number, time: number, known: number | undefined, first = 0): void {
    const now = this.#clocks.now(slot);
    const ticksPerByte = this.#clocks.ticksPerByte(slot);
    const kept = known === undefined ? 0 : IN_FLIGHT_BIT;
    const knownBytes = known ?? Number.POSITIVE_INFINITY;
    for (let block = first; block < hashes.length; block += 1) {
      const key = hashes[block] ?? 0;
      let place = block < this.#matched ? (this.#places[block] ?? 0) : -1;
      if (place < 0 || !this.#table.holds(place, key)) place = this.#table.placeFor(key);
      const end = blocksEnd(block + 1);
      const entry = this.#clocks.entry(slot, now, end * ticksPerByte);
      if (end > knownBytes) this.#table.own(place, entry | IN_FLIGHT_BIT, 0, time);
      else this.#table.own(place, entry, kept, time);
    }
  }

  #tick(): number {
    const time = (Atomics.add(this.#time, 0, 1) + 1) | 0;
    if (time % AGING_INSERTS === 0) this.#clocks.age(time);
    return time;
  }
}
