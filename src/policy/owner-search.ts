import type { BlockTable } from "./block-table.ts";
import { blocksEnd } from "./prefix-blocks.ts";
import type { PromptPlaces } from "./prompt-places.ts";
import { IN_FLIGHT_BIT, OWNER_BIT, SLOT_BITS, type VolumeClocks } from "./volume-clocks.ts";

/** Most workers that one search finds. */
export const MOST_FOUND = 64;

/**
 * Finds the workers that have a prompt's blocks, from its end to its beginning, so that those with the longest prefixes come first. It
 * stops at any block and goes on there when more is asked. Blocks that follow one another mostly have the same owners: those are
 * compared as they stand in the table, and not looked at one by one.
 */
export class OwnerSearch {
  readonly #table: BlockTable;
  readonly #clocks: VolumeClocks;
  readonly #prompt: PromptPlaces;
  readonly #slots = new Int32Array(MOST_FOUND);
  readonly #bytes = new Int32Array(MOST_FOUND);
  /** -1 while only blocks in flight were seen. */
  readonly #safeBytes = new Int32Array(MOST_FOUND);
  /** How many were found so far. */
  #found = 0;
  /** The next block that is looked at, towards the beginning; -1 after the last. */
  #nextBlock = -1;
  /** Index of the first entry of the block that was looked at last; -1 where the next one must be looked at in any case. */
  #lookedAt = -1;
  #unsafe = 0;
  /** By slot: the search that found it, and its number among those found. */
  readonly #foundBy = new Int32Array(SLOT_BITS + 1);
  readonly #numbers = new Uint8Array(SLOT_BITS + 1);
  #search = 0;

  /** `prompt`: the current one. */
  constructor(table: BlockTable, clocks: VolumeClocks, prompt: PromptPlaces) {
    this.#table = table;
    this.#clocks = clocks;
    this.#prompt = prompt;
  }

  /** Begins a search among the first `count` blocks of the prompt. */
  begin(count: number): void {
    this.#found = 0;
    this.#unsafe = 0;
    this.#nextBlock = count - 1;
    this.#lookedAt = -1;
    this.#search = (this.#search + 1) | 0;
  }

  /** As `PrefixIndex.find`. */
  find(most: number): number {
    while (this.#found < most && this.#nextBlock >= 0) this.#look();
    return this.#found;
  }

  slotAt(number: number): number {
    return this.#slots[number] ?? -1;
  }

  /** As `PrefixIndex.bytesAt`. */
  bytesAt(number: number): number {
    return this.#bytes[number] ?? 0;
  }

  /** As `PrefixIndex.safeBytesAt`. */
  safeBytesAt(number: number): number {
    if ((this.#safeBytes[number] ?? 0) < 0) this.#findSafe();
    return this.#safeBytes[number] ?? 0;
  }

  /** Number of a worker among those found; -1 if it is not among them. */
  numberOf(slot: number): number {
    return this.#foundBy[slot] === this.#search ? (this.#numbers[slot] ?? 0) : -1;
  }

  /** Bytes of the prompt that the worker has; searches on until it is found. */
  bytesOf(slot: number): number {
    while (this.#foundBy[slot] !== this.#search && this.#nextBlock >= 0) this.#look();
    const number = this.numberOf(slot);
    return number < 0 ? 0 : this.bytesAt(number);
  }

  /** Looks who is named at the next block towards the beginning of the prompt. */
  #look(): void {
    let block = this.#nextBlock;
    if (this.#lookedAt >= 0) block = this.#table.lastUnlike(this.#prompt, block, this.#lookedAt);
    this.#nextBlock = block - 1;
    if (block < 0) return;
    const place = this.#prompt.at(block);
    if (place < 0) return;
    const first = this.#table.firstEntry(place);
    this.#lookedAt = first;
    const lastUse = this.#table.lastUse(place);
    const { cells } = this.#table;
    const count = this.#table.entryCount(first);
    // Of many equal owners none is always found first.
    const shift = this.#search & (count - 1);
    for (let step = 0; step < count; step += 1) {
      const entry = cells[first + ((step + shift) & (count - 1))] ?? 0;
      if ((entry & OWNER_BIT) !== 0) this.#see(entry, lastUse, block);
    }
  }

  #see(entry: number, lastUse: number, block: number): void {
    const number = this.numberOf(entry & SLOT_BITS);
    if (number >= 0) {
      if ((entry & IN_FLIGHT_BIT) !== 0 || (this.#safeBytes[number] ?? 0) >= 0) return;
      this.#safeBytes[number] = blocksEnd(block + 1);
      this.#unsafe -= 1;
    } else if (!this.#clocks.isAlive(entry, lastUse)) {
      // The end of a prompt is dropped first: the worker may still have the next block.
      this.#lookedAt = -1;
    } else if (this.#found < MOST_FOUND) this.#add(entry, blocksEnd(block + 1));
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
}
