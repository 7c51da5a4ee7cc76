import { BlockSets, cellsOf, entryCell, keyCell, numberOf, placesOf, setsFor, useCell } from "./block-sets.ts";
import { FEW_OWNERS, isLink, PlaceOwners, ROW_LINK } from "./place-owners.ts";
import { blocksEnd } from "./prefix-blocks.ts";
import { GROUP, type PromptPlaces } from "./prompt-places.ts";
import { MANY_OWNERS, SharedBlocks, sharedBlocksCells } from "./shared-blocks.ts";
import { IN_FLIGHT_BIT, isRecent, OWNER_BIT, SLOT_BITS, type VolumeClocks } from "./volume-clocks.ts";

/** What entries of one worker have in common. */
const OWNER = SLOT_BITS | OWNER_BIT;
/** A use need not be noted again for one insert for each so many places of the table: meanwhile new blocks take a few per cent of them. */
const PLACES_PER_INSERT = 1024;

/** Bytes of memory for a table of so many blocks. */
export function blockTableBytes(blocks: number): number {
  const sets = setsFor(blocks);
  const places = placesOf(sets);
  return (cellsOf(sets) + places * FEW_OWNERS + sharedBlocksCells(places)) * 4;
}

/** The end of the block's group if it is before `end`, as those have been looked for mostly; else the block. */
function lookedForAt(block: number, end: number): number {
  const last = block | (GROUP - 1);
  return last < end ? last : block;
}

/**
 * A set-associative table from the hash of a block to the workers that have it. Its size is fixed, and it evicts as it inserts. Several
 * threads read and write it without locks; what two of them write at once is lost, as by eviction.
 *
 * The entry of a place names one worker, as in `VolumeClocks`, which most blocks need no more than. The workers of a block that several have
 * are in the place's row, and those of one that still more have in a list; the entry is then a link.
 */
export class BlockTable {
  /** All sets, the rows of their places, and the lists. */
  readonly cells: Int32Array;
  readonly sets: BlockSets;
  readonly #clocks: VolumeClocks;
  readonly #few: PlaceOwners;
  readonly #shared: SharedBlocks;
  readonly #rowsFrom: number;
  readonly #sharedFrom: number;
  readonly #freshInserts: number;

  /** `memory` has `blockTableBytes(blocks)` from `offset` on. */
  constructor(memory: SharedArrayBuffer, offset: number, blocks: number, clocks: VolumeClocks) {
    const sets = setsFor(blocks);
    const places = placesOf(sets);
    this.#rowsFrom = cellsOf(sets);
    this.#sharedFrom = this.#rowsFrom + places * FEW_OWNERS;
    this.#freshInserts = places / PLACES_PER_INSERT;
    this.cells = new Int32Array(memory, offset, this.#sharedFrom + sharedBlocksCells(places));
    this.sets = new BlockSets(this.cells, sets);
    this.#clocks = clocks;
    this.#few = new PlaceOwners(this.cells, clocks);
    this.#shared = new SharedBlocks(this.cells, this.#sharedFrom, places, clocks);
  }

  /** When the block was last used by any worker. */
  lastUse(place: number): number {
    return this.cells[useCell(place)] ?? 0;
  }

  /** Index of the first of the block's entries, those of its row or its list if it has one. */
  firstEntry(place: number): number {
    const first = entryCell(place);
    const entry = this.cells[first] ?? 0;
    if (!isLink(entry)) return first;
    if (entry === ROW_LINK) return this.#rowOf(place);
    const shared = this.#shared.entriesOf(entry, this.cells[keyCell(place)] ?? 0);
    return shared < 0 ? first : shared;
  }

  /** How many entries there are from a block's first one on, a power of two. Those without an owner are 0, or have no OWNER_BIT. */
  entryCount(first: number): number {
    if (first < this.#rowsFrom) return 1;
    return first < this.#sharedFrom ? FEW_OWNERS : MANY_OWNERS;
  }

  #rowOf(place: number): number {
    return this.#rowsFrom + numberOf(place) * FEW_OWNERS;
  }

  /**
   * Of the known blocks up to the number `block`, the last one that has other owners than the block whose first entry is at `like`, or has them
   * in flight where that one does not; -1 for none. May also be one with the same owners, or one that is not in the table. Steps grow and
   * shrink: each block has the owners of those behind it and more, so two blocks with the same ones have no other between them, unless it
   * was withdrawn.
   */
  lastUnlike(prompt: PromptPlaces, block: number, like: number): number {
    if (like >= this.#sharedFrom) return this.#lastUnlikeShared(prompt, block, like);
    const count = this.entryCount(like);
    let alike = block + 1;
    let unlike = -1;
    let step = 1;
    while (alike - unlike > 1) {
      const probe = lookedForAt(Math.max(0, alike - step), alike);
      if (this.#isAlike(prompt.at(probe), like, count)) alike = probe;
      else unlike = probe;
      step = unlike < 0 ? step * 2 : (alike - unlike) >> 1;
    }
    return unlike;
  }

  #isAlike(place: number, like: number, count: number): boolean {
    if (place < 0) return false;
    const first = this.firstEntry(place);
    return this.entryCount(first) === count && this.#few.areAlike(first, like, count);
  }

  /** Step by step: of two owners with one place in a list, only one is named. */
  #lastUnlikeShared(prompt: PromptPlaces, block: number, like: number): number {
    let unlike = block;
    for (; unlike >= 0; unlike -= 1) {
      const place = prompt.at(unlike);
      if (place < 0) break;
      const first = this.firstEntry(place);
      if (first < this.#sharedFrom || !this.#shared.areAlike(first, like)) break;
    }
    return unlike;
  }

  /**
   * Makes a worker an owner of the blocks from the number `from` to before `to`. `bits`: IN_FLIGHT_BIT or 0; `kept`: of the bits of those that it
   * has already, which stay as they are. Blocks that have no place get one. Where it has them already, those of a whole group may stay
   * as they are for a while: the last one tells how long ago all of them were noted.
   */
  ownAll(prompt: PromptPlaces, from: number, to: number, slot: number, bits: number, kept: number, time: number): void {
    const { cells } = this;
    const { hashes } = prompt;
    const clocks = this.#clocks;
    const lastLoss = clocks.lastLoss;
    const now = clocks.now(slot);
    const ticksPerByte = clocks.ticksPerByte(slot);
    const owner = OWNER_BIT | slot;
    const cleared = IN_FLIGHT_BIT & ~kept;
    let block = (bits | cleared) === 0 ? this.#passFresh(prompt, from, to, owner, now, time) : from;
    prompt.touch(block, to);
    // Where in the row of the block before this one the worker stood: mostly it stands there again.
    let likely = 0;
    for (; block < to; block += 1) {
      const key = hashes[block] ?? 0;
      let place = prompt.noted(block);
      if (place < 0 || cells[keyCell(place)] !== key) place = this.sets.placeOf(key);
      if (place < 0) {
        prompt.put(block, this.#add(key, clocks.entry(slot, now, blocksEnd(block + 1) * ticksPerByte) | bits, time));
        continue;
      }
      const used = useCell(place);
      let at = entryCell(place);
      let old = cells[at] ?? 0;
      if (old === ROW_LINK) {
        at = this.#rowOf(place) + likely;
        old = cells[at] ?? 0;
      }
      const isHere = (old & OWNER) === owner && (((cells[used] ?? 0) - lastLoss) | 0) > 0;
      if (isHere && isRecent(old, now)) {
        cells[used] = time;
        const next = (old & ~cleared) | bits;
        if (next !== old) cells[at] = next;
        continue;
      }
      const entry = clocks.entry(slot, now, blocksEnd(block + 1) * ticksPerByte) | bits;
      if (isHere) {
        cells[used] = time;
        cells[at] = clocks.renewed(old, (entry & ~kept) | (old & kept));
      } else likely = this.#own(place, entry, kept, time);
    }
  }

  /** The number of the first block from `from` on that is not in one of the groups which may stay as they are. */
  #passFresh(prompt: PromptPlaces, from: number, to: number, owner: number, now: number, time: number): number {
    let block = from;
    // Where in the row of the last group's block the worker stood.
    let likely = 0;
    for (; block % GROUP === 0 && block + GROUP <= to; block += GROUP) {
      const last = block + GROUP - 1;
      likely = this.#freshAt(prompt.at(last), prompt.hashes[last] ?? 0, likely, owner, now, time);
      // Mostly none of the others may stay either.
      if (likely < 0) break;
    }
    return block;
  }

  /**
   * Which of a block's entries is this owner's, `likely` perhaps, if the block is still there and was used lately, and by this owner; -1 where
   * it must be noted anew.
   */
  #freshAt(place: number, key: number, likely: number, owner: number, now: number, time: number): number {
    const { cells } = this;
    if (place < 0 || cells[keyCell(place)] !== key) return -1;
    const used = cells[useCell(place)] ?? 0;
    if (((time - used) | 0) >= this.#freshInserts || this.#clocks.mayHaveLostSince(used)) return -1;
    const only = cells[entryCell(place)] ?? 0;
    if (only !== ROW_LINK) return (only & OWNER) === owner && isRecent(only, now) ? 0 : -1;
    const first = this.#rowOf(place);
    for (let step = 0; step < FEW_OWNERS; step += 1) {
      const number = (likely + step) % FEW_OWNERS;
      const entry = cells[first + number] ?? 0;
      if ((entry & OWNER) === owner) return isRecent(entry, now) ? number : -1;
    }
    return -1;
  }

  /** Makes the entry's worker an owner of the block. */
  own(key: number, entry: number, time: number): void {
    const place = this.sets.placeOf(key);
    if (place < 0) this.#add(key, entry, time);
    else this.#own(place, entry, 0, time);
  }

  /** Returns the new block's place. */
  #add(key: number, entry: number, time: number): number {
    const place = this.sets.take(key, time);
    this.cells[entryCell(place)] = entry;
    return place;
  }

  /**
   * Makes the entry's worker an owner of the block at the place. If it is one already, `kept` of its bits stay as they are. Owners that no
   * longer have the block are removed first, if any may have lost it since its last use, so that the new time does not bring them
   * back. Returns which of the block's entries it is, 0 where it is in a list.
   */
  #own(place: number, entry: number, kept: number, time: number): number {
    const used = useCell(place);
    const lastUse = this.cells[used] ?? 0;
    this.cells[used] = time;
    const first = this.firstEntry(place);
    if (first >= this.#sharedFrom) {
      this.#shared.own(first, entry, kept, time, lastUse);
      return 0;
    }
    const count = this.entryCount(first);
    const number = this.#few.own(first, count, entry, kept, lastUse);
    if (number >= 0) return number;
    if (count > 1) return this.#share(place, entry, time);
    // The row first: who follows the link must not find what was there before.
    const row = this.#rowOf(place);
    this.#few.begin(row, FEW_OWNERS, this.cells[first] ?? 0);
    this.cells[row + 1] = entry;
    this.cells[first] = ROW_LINK;
    return 1;
  }

  /** Moves the owners of a full row to a list, and one more. */
  #share(place: number, entry: number, time: number): number {
    const row = this.#rowOf(place);
    const owners = [...this.cells.subarray(row, row + FEW_OWNERS), entry];
    this.cells[entryCell(place)] = this.#shared.share(this.cells[keyCell(place)] ?? 0, owners, time);
    return 0;
  }

  /** The worker is no longer an owner of the block, if its entry has these bits. */
  drop(key: number, slot: number, bits: number): void {
    const place = this.sets.placeOf(key);
    if (place < 0) return;
    const first = this.firstEntry(place);
    if (first >= this.#sharedFrom) this.#shared.drop(first, slot, bits);
    else this.#few.drop(first, this.entryCount(first), slot, bits);
  }

  /** Takes these bits off the worker's entry, if it is an owner of the block. */
  clearBits(key: number, slot: number, bits: number): void {
    const place = this.sets.placeOf(key);
    if (place < 0) return;
    const first = this.firstEntry(place);
    if (first >= this.#sharedFrom) this.#shared.clearBits(first, slot, bits);
    else this.#few.clearBits(first, this.entryCount(first), slot, bits);
  }
}
