import { blocksEnd } from "./prefix-blocks.ts";
import { FEW_OWNERS, isLink, PlaceOwners } from "./place-owners.ts";
import { MANY_OWNERS, SharedBlocks, sharedBlocksCells } from "./shared-blocks.ts";
import { OWNER_BIT, SLOT_BITS, type VolumeClocks } from "./volume-clocks.ts";

/** Places in each set. A new block takes the least recently used one. */
const WAY_BITS = 3;
const WAYS = 1 << WAY_BITS;
/** What entries of one worker have in common. */
const OWNER = SLOT_BITS | OWNER_BIT;
/** Cells of a set: the keys of its places, their times of last use (both in one cache line), and FEW_OWNERS entries for each place. */
const SET_CELLS = WAYS * (2 + FEW_OWNERS);

/** Bytes of memory for a table of so many blocks, rounded down to a power of two. */
export function blockTableBytes(blocks: number): number {
  const sets = setsFor(blocks);
  return (sets * SET_CELLS + sharedBlocksCells(sets * WAYS)) * 4;
}

function setsFor(blocks: number): number {
  return 2 ** Math.max(0, Math.floor(Math.log2(blocks / WAYS)));
}

/** The blocks of a prompt from the number `from` to before `to`. */
interface BlockRange {
  readonly hashes: Int32Array;
  /** Where each of them was a moment ago, -1 where it was not known: see `findPlaces`. */
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
  readonly #setMask: number;
  readonly #clocks: VolumeClocks;
  readonly #few: PlaceOwners;
  readonly #shared: SharedBlocks;
  readonly #sharedFrom: number;

  /** `memory` has `blockTableBytes(blocks)` from `offset` on. */
  constructor(memory: SharedArrayBuffer, offset: number, blocks: number, clocks: VolumeClocks) {
    const sets = setsFor(blocks);
    this.#setMask = sets - 1;
    const places = sets * WAYS;
    this.#sharedFrom = sets * SET_CELLS;
    this.cells = new Int32Array(memory, offset, this.#sharedFrom + sharedBlocksCells(places));
    this.#clocks = clocks;
    this.#few = new PlaceOwners(this.cells, clocks);
    this.#shared = new SharedBlocks(this.cells, this.#sharedFrom, places, clocks);
  }

  /** The place of a block; -1 if it is not known. */
  placeOf(key: number): number {
    const set = key & this.#setMask;
    const first = set * SET_CELLS;
    for (let way = 0; way < WAYS; way += 1) if (this.cells[first + way] === key) return set * WAYS + way;
    return -1;
  }

  /** When the block was last used by any worker. */
  lastUse(place: number): number {
    return this.cells[keyOf(place) + WAYS] ?? 0;
  }

  /** Index of the first of the block's entries, those of its list if it has one. */
  firstEntry(place: number): number {
    const first = entriesOf(place);
    const entry = this.cells[first] ?? 0;
    if (!isLink(entry)) return first;
    const shared = this.#shared.entriesOf(entry, this.cells[keyOf(place)] ?? 0);
    return shared < 0 ? first : shared;
  }

  /** How many entries there are from a block's first one on. Those without an owner are 0, or have no OWNER_BIT. */
  entryCount(first: number): number {
    return first < this.#sharedFrom ? FEW_OWNERS : MANY_OWNERS;
  }

  /**
   * Of the blocks up to the number `block`, whose places are given, the last one that has other owners than the block whose first entry is at
   * `like`, or has them in flight where that one does not; -1 for none. May also be one with the same owners. Steps grow and shrink: each
   * block has the owners of those behind it and more, so two blocks with the same ones have no other between them, unless it was withdrawn.
   */
  lastUnlike(places: Int32Array, block: number, like: number): number {
    if (like >= this.#sharedFrom) return this.#lastUnlikeShared(places, block, like);
    let alike = block + 1;
    let unlike = -1;
    let step = 1;
    while (alike - unlike > 1) {
      const probe = Math.max(0, alike - step);
      if (this.#few.areAlike(entriesOf(places[probe] ?? 0), like)) alike = probe;
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
   * Makes a worker an owner of these blocks. Those that have no place get one.
   */
  ownAll({ hashes, places, from, to }: BlockRange, { slot, bits, kept, time }: Ownership): void {
    const { cells } = this;
    const clocks = this.#clocks;
    const lastLoss = clocks.lastLoss;
    const now = clocks.now(slot);
    const ticksPerByte = clocks.ticksPerByte(slot);
    // Where among the entries of the block before this one the worker stood: mostly it stands there again.
    let likely = 0;
    for (let block = from; block < to; block += 1) {
      const key = hashes[block] ?? 0;
      const entry = clocks.entry(slot, now, blocksEnd(block + 1) * ticksPerByte) | bits;
      let place = places[block] ?? -1;
      if (place >= 0 && cells[keyOf(place)] !== key) place = this.placeOf(key);
      if (place < 0) {
        this.#add(key, entry, time);
        continue;
      }
      const used = keyOf(place) + WAYS;
      const first = entriesOf(place);
      const old = cells[first + likely] ?? 0;
      const isHere = ((old ^ entry) & OWNER) === 0 && (((cells[used] ?? 0) - lastLoss) | 0) > 0;
      if (isHere) {
        cells[used] = time;
        const next = clocks.renewed(old, (entry & ~kept) | (old & kept));
        if (next !== old) cells[first + likely] = next;
      } else likely = this.#own(place, entry, kept, time);
    }
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
   * Puts the places of the blocks from the number `from` on into `places`, -1 for those that are not known. The first place of each set is
   * looked at before the others of any, with nothing done in between: a processor then fetches many sets from memory at a time.
   */
  findPlaces(hashes: Int32Array, from: number, places: Int32Array): void {
    const { cells } = this;
    const mask = this.#setMask;
    for (let block = from; block < hashes.length; block += 1) {
      const key = hashes[block] ?? 0;
      const set = key & mask;
      places[block] = cells[set * SET_CELLS] === key ? set * WAYS : -1;
    }
    for (let block = from; block < hashes.length; block += 1) {
      if ((places[block] ?? -1) < 0) places[block] = this.placeOf(hashes[block] ?? 0);
    }
  }

  /** Makes the entry's worker an owner of the block. */
  own(key: number, entry: number, time: number): void {
    const place = this.placeOf(key);
    if (place < 0) this.#add(key, entry, time);
    else this.#own(place, entry, 0, time);
  }

  /** A block that is new takes an empty place of its set, or the least recently used one. */
  #add(key: number, entry: number, time: number): void {
    const { cells } = this;
    const set = key & this.#setMask;
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
    this.#few.begin(entriesOf(set * WAYS + taken), entry);
  }

  /**
   * Makes the entry's worker an owner of the block at the place. If it is one already, `kept` of its bits stay as they are. Owners that no
   * longer have the block are removed first, if any may have lost it since its last use, so that the new time does not bring them
   * back. Returns which of the place's entries it is, 0 where it is in a list.
   */
  #own(place: number, entry: number, kept: number, time: number): number {
    const used = keyOf(place) + WAYS;
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
    const first = entriesOf(place);
    const owners = [...this.cells.subarray(first, first + FEW_OWNERS), entry];
    this.#few.begin(first, this.#shared.share(this.cells[keyOf(place)] ?? 0, owners, time));
  }

  /** The worker is no longer an owner of the block, if its entry has these bits. */
  drop(key: number, slot: number, bits: number): void {
    const place = this.placeOf(key);
    if (place < 0) return;
    const first = this.firstEntry(place);
    if (first >= this.#sharedFrom) this.#shared.drop(first, slot, bits);
    else this.#few.drop(first, slot, bits);
  }

  /** Takes these bits off the worker's entry, if it is an owner of the block. */
  clearBits(key: number, slot: number, bits: number): void {
    const place = this.placeOf(key);
    if (place < 0) return;
    const first = this.firstEntry(place);
    if (first >= this.#sharedFrom) this.#shared.clearBits(first, slot, bits);
    else this.#few.clearBits(first, slot, bits);
  }
}

/** Index of the cell with a place's key; that of its time is WAYS behind. */
function keyOf(place: number): number {
  return (place >>> WAY_BITS) * SET_CELLS + (place & (WAYS - 1));
}

/** Index of the first of a place's FEW_OWNERS entries. */
function entriesOf(place: number): number {
  return (place >>> WAY_BITS) * SET_CELLS + WAYS * 2 + (place & (WAYS - 1)) * FEW_OWNERS;
}
