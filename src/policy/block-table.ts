import { BlockSets, cellsOf, entriesCell, keyCell, placesOf, setsFor, UNKNOWN, useCell } from "./block-sets.ts";
import { FEW_OWNERS, isLink, PlaceOwners } from "./place-owners.ts";
import { blocksEnd } from "./prefix-blocks.ts";
import { MANY_OWNERS, SharedBlocks, sharedBlocksCells } from "./shared-blocks.ts";
import { IN_FLIGHT_BIT, isRecent, OWNER_BIT, SLOT_BITS, type VolumeClocks } from "./volume-clocks.ts";

/** What entries of one worker have in common. */
const OWNER = SLOT_BITS | OWNER_BIT;
/** Blocks of a prompt that are noted together, mostly. */
const GROUP = 8;
/** A use need not be noted again for one insert for each so many places of the table: meanwhile new blocks take a few per cent of them. */
const PLACES_PER_INSERT = 1024;

/** Bytes of memory for a table of so many blocks, rounded down to a power of two. */
export function blockTableBytes(blocks: number): number {
  const sets = setsFor(blocks);
  return (cellsOf(sets) + sharedBlocksCells(placesOf(sets))) * 4;
}

/** The blocks of a prompt from the number `from` to before `to`. */
interface BlockRange {
  readonly hashes: Int32Array;
  /** Where each of them was a moment ago, as in `BlockSets`. */
  readonly places: Int32Array;
  readonly from: number;
  readonly to: number;
}

/** What is noted of a worker that gets blocks. */
interface Ownership {
  readonly slot: number;
  /** IN_FLIGHT_BIT or 0. */
  readonly bits: number;
  readonly kept: number;
  readonly time: number;
}

/**
 * A set-associative table from the hash of a block to the workers that have it. Its size is fixed, and it evicts as it inserts. Several
 * threads read and write it without locks; what two of them write at once is lost, as by eviction.
 */
export class BlockTable {
  /** All sets, and then the lists of the shared blocks. The entries of a place are as in `VolumeClocks`, the empty ones (0) last; two places share a cache line. */
  readonly cells: Int32Array;
  readonly sets: BlockSets;
  readonly #clocks: VolumeClocks;
  readonly #few: PlaceOwners;
  readonly #shared: SharedBlocks;
  readonly #sharedFrom: number;
  readonly #freshInserts: number;

  /** `memory` has `blockTableBytes(blocks)` from `offset` on. */
  constructor(memory: SharedArrayBuffer, offset: number, blocks: number, clocks: VolumeClocks) {
    const sets = setsFor(blocks);
    const places = placesOf(sets);
    this.#sharedFrom = cellsOf(sets);
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

  /** Index of the first of the block's entries, those of its list if it has one. */
  firstEntry(place: number): number {
    const first = entriesCell(place);
    const entry = this.cells[first] ?? 0;
    if (!isLink(entry)) return first;
    const shared = this.#shared.entriesOf(entry, this.cells[keyCell(place)] ?? 0);
    return shared < 0 ? first : shared;
  }

  /** How many entries there are from a block's first one on. Those without an owner are 0, or have no OWNER_BIT. */
  entryCount(first: number): number {
    return first < this.#sharedFrom ? FEW_OWNERS : MANY_OWNERS;
  }

  /**
   * Of the known blocks up to the number `block`, the last one that has other owners than the block whose first entry is at `like`, or has them
   * in flight where that one does not; -1 for none. May also be one with the same owners. Steps grow and shrink: each block has the owners
   * of those behind it and more, so two blocks with the same ones have no other between them, unless it was withdrawn.
   */
  lastUnlike(places: Int32Array, block: number, like: number): number {
    if (like >= this.#sharedFrom) return this.#lastUnlikeShared(places, block, like);
    let alike = block + 1;
    let unlike = -1;
    let step = 1;
    while (alike - unlike > 1) {
      const probe = Math.max(0, alike - step);
      if (this.#few.areAlike(entriesCell(places[probe] ?? 0), like)) alike = probe;
      else unlike = probe;
      step = unlike < 0 ? step * 2 : (alike - unlike) >> 1;
    }
    return unlike;
  }

  /** Step by step: of two owners with one place in a list, only one is named. */
  #lastUnlikeShared(places: Int32Array, block: number, like: number): number {
    let unlike = block;
    for (; unlike >= 0; unlike -= 1) {
      const first = this.firstEntry(places[unlike] ?? 0);
      if (first < this.#sharedFrom || !this.#shared.areAlike(first, like)) break;
    }
    return unlike;
  }

  /**
   * Makes a worker an owner of these blocks. Those that have no place get one. Where it has them already, those of a whole group may stay as
   * they are for a while: the last one tells how long ago all of them were noted.
   */
  ownAll({ hashes, places, from, to }: BlockRange, { slot, bits, kept, time }: Ownership): void {
    const { cells } = this;
    const clocks = this.#clocks;
    const lastLoss = clocks.lastLoss;
    const now = clocks.now(slot);
    const ticksPerByte = clocks.ticksPerByte(slot);
    const owner = OWNER_BIT | slot;
    const cleared = IN_FLIGHT_BIT & ~kept;
    let mayStay = (bits | cleared) === 0;
    // Where among the entries of the block before this one the worker stood: mostly it stands there again.
    let likely = 0;
    for (let block = from; block < to; block += 1) {
      if (mayStay && block % GROUP === 0 && block + GROUP <= to) {
        const last = block + GROUP - 1;
        const number = this.#freshAt(places[last] ?? UNKNOWN, hashes[last] ?? 0, likely, owner, now, time);
        if (number >= 0) {
          likely = number;
          block = last;
          continue;
        }
        // Mostly none of the others may stay either.
        mayStay = false;
      }
      const key = hashes[block] ?? 0;
      let place = places[block] ?? UNKNOWN;
      if (place >= 0 && cells[keyCell(place)] !== key) place = this.sets.placeOf(key);
      if (place < 0) {
        this.#add(key, clocks.entry(slot, now, blocksEnd(block + 1) * ticksPerByte) | bits, time);
        continue;
      }
      const used = useCell(place);
      const at = entriesCell(place) + likely;
      const old = cells[at] ?? 0;
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

  /**
   * Which of a place's entries is this owner's, `likely` perhaps, if the block is still there and was used lately, and by this owner; -1 where
   * it must be noted anew.
   */
  #freshAt(place: number, key: number, likely: number, owner: number, now: number, time: number): number {
    const { cells } = this;
    if (place < 0 || cells[keyCell(place)] !== key) return -1;
    const used = cells[useCell(place)] ?? 0;
    if (((time - used) | 0) >= this.#freshInserts || this.#clocks.mayHaveLostSince(used)) return -1;
    const first = entriesCell(place);
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

  #add(key: number, entry: number, time: number): void {
    this.#few.begin(entriesCell(this.sets.take(key, time)), entry);
  }

  /**
   * Makes the entry's worker an owner of the block at the place. If it is one already, `kept` of its bits stay as they are. Owners that no
   * longer have the block are removed first, if any may have lost it since its last use, so that the new time does not bring them
   * back. Returns which of the place's entries it is, 0 where it is in a list.
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
    const number = this.#few.own(first, entry, kept, lastUse);
    if (number < 0) this.#share(place, entry, time);
    return Math.max(0, number);
  }

  /** Moves the owners of a full place to a list, and one more. */
  #share(place: number, entry: number, time: number): void {
    const first = entriesCell(place);
    const owners = [...this.cells.subarray(first, first + FEW_OWNERS), entry];
    this.#few.begin(first, this.#shared.share(this.cells[keyCell(place)] ?? 0, owners, time));
  }

  /** The worker is no longer an owner of the block, if its entry has these bits. */
  drop(key: number, slot: number, bits: number): void {
    const place = this.sets.placeOf(key);
    if (place < 0) return;
    const first = this.firstEntry(place);
    if (first >= this.#sharedFrom) this.#shared.drop(first, slot, bits);
    else this.#few.drop(first, slot, bits);
  }

  /** Takes these bits off the worker's entry, if it is an owner of the block. */
  clearBits(key: number, slot: number, bits: number): void {
    const place = this.sets.placeOf(key);
    if (place < 0) return;
    const first = this.firstEntry(place);
    if (first >= this.#sharedFrom) this.#shared.clearBits(first, slot, bits);
    else this.#few.clearBits(first, slot, bits);
  }
}
