import { BlockTable, blockTableBytes } from "./block-table.ts";
import { CACHE_TRUST_BYTES, CacheTrust } from "./cache-trust.ts";
import { OwnerSearch } from "./owner-search.ts";
import { blocksEnd, blocksIn, type PromptBlocks, SMALLEST_BLOCK_BYTES } from "./prefix-blocks.ts";
import { NotedPlaces, PromptPlaces } from "./prompt-places.ts";
import { IN_FLIGHT_BIT, VOLUME_CLOCKS_BYTES, VolumeClocks } from "./volume-clocks.ts";

/** Where the parts are in the memory: the time, padded to a cache line, the clocks of the workers, the trust in them, and the blocks. */
const CLOCKS_AT = 64;
const TRUST_AT = CLOCKS_AT + VOLUME_CLOCKS_BYTES;
const TABLE_AT = TRUST_AT + CACHE_TRUST_BYTES;
/** Inserts after which old times are moved up, so that differences of 32 bits stay correct. */
const AGING_INSERTS = 2 ** 29;

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
  /** The prompt of the last `match`: its length, and where its blocks are. */
  #bytes = 0;
  readonly #places: PromptPlaces;
  /** Of a prompt that is settled. */
  readonly #settling: PromptPlaces;
  readonly #notes = new NotedPlaces();
  /** What is noted of the last `insert`, for `settle`. */
  note = 0;
  readonly #search: OwnerSearch;

  /** Room for `maxBytes` of prompt in small blocks; `memory` is of `prefixIndexBytes`. */
  constructor(maxBytes: number, memory: SharedArrayBuffer) {
    this.#time = new Int32Array(memory, 0, 1);
    this.#clocks = new VolumeClocks(memory, CLOCKS_AT, maxBytes);
    this.#trust = new CacheTrust(memory, TRUST_AT);
    this.#table = new BlockTable(memory, TABLE_AT, maxBytes / SMALLEST_BLOCK_BYTES, this.#clocks);
    this.#places = new PromptPlaces(this.#table.sets);
    this.#settling = new PromptPlaces(this.#table.sets);
    this.#search = new OwnerSearch(this.#table, this.#clocks, this.#places);
  }

  /** How many bytes of the prompt from its beginning are known. `find` and `insert` are about this prompt until the next one. */
  match({ hashes, bytes }: PromptBlocks): number {
    this.#bytes = bytes;
    const matched = this.#places.match(hashes);
    this.#search.begin(matched);
    return blocksEnd(matched);
  }

  /**
   * Finds the workers that have the longest prefixes of the prompt of the last `match`, the longest first, until there are `most` (up to
   * 64) or more; workers with equal prefixes are found together. May be called again to find more. A worker that has a block has all
   * blocks before it, even if it is no longer named there. Returns how many were found so far; `slotAt` and the others take
   * their numbers from 0.
   */
  find(most: number): number {
    return this.#search.find(most);
  }

  slotAt(number: number): number {
    return this.#search.slotAt(number);
  }

  /** Bytes of the prompt that this worker has or is about to have. */
  bytesAt(number: number): number {
    return this.#search.bytesAt(number);
  }

  /** Bytes of the prompt that this worker certainly was sent and has prefilled: without what is only in flight. */
  safeBytesAt(number: number): number {
    return this.#search.safeBytesAt(number);
  }

  /** As `safeBytesAt`, of any worker; 0 for one that was not found. */
  safeBytesOf(slot: number): number {
    const number = this.numberOf(slot);
    return number < 0 ? 0 : this.safeBytesAt(number);
  }

  /** Number of a worker among those found; -1 if it is not among them. */
  numberOf(slot: number): number {
    return this.#search.numberOf(slot);
  }

  /**
   * Notes that the worker gets the prompt of the last `match`. Blocks that are new to it are in flight until `settle`. Returns how
   * many bytes of the prompt are new to it.
   */
  insert(slot: number): number {
    const bytes = this.#bytes;
    const known = this.#search.bytesOf(slot);
    const time = this.#tick();
    this.#clocks.advance(slot, bytes - known, time);
    const places = this.#places;
    const newFrom = blocksIn(known);
    // What is in flight already stays so.
    this.#table.ownAll(places, 0, newFrom, slot, 0, IN_FLIGHT_BIT, time);
    this.#table.ownAll(places, newFrom, places.hashes.length, slot, IN_FLIGHT_BIT, 0, time);
    this.note = this.#notes.note(places, newFrom);
    return bytes - known;
  }

  /**
   * Notes that the worker has prefilled the prompt. It had the first `safeBytes` before; `note` is what was noted when it was inserted. While its KV events are complete, this adds no block:
   * what they have taken back meanwhile is evicted already.
   */
  settle({ hashes }: PromptBlocks, slot: number, safeBytes = 0, note?: number): void {
    const from = blocksIn(safeBytes);
    if (from >= hashes.length) return;
    if (this.#clocks.isExact(slot)) {
      for (const hash of hashes) this.#table.clearBits(hash, slot, IN_FLIGHT_BIT);
      return;
    }
    const places = this.#settling;
    places.begin(hashes, from, this.#notes, note);
    this.#table.ownAll(places, from, hashes.length, slot, 0, 0, Atomics.load(this.#time, 0));
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
    for (const hash of hashes) this.#table.own(hash, this.#clocks.storedEntry(slot), time);
  }

  /** By its KV events the worker no longer has these blocks. */
  remove(slot: number, hashes: Iterable<number>): void {
    for (const hash of hashes) this.#table.drop(hash, slot, 0);
  }

  #tick(): number {
    const time = (Atomics.add(this.#time, 0, 1) + 1) | 0;
    if (time % AGING_INSERTS === 0) this.#clocks.age(time);
    return time;
  }
}
