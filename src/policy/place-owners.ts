import { OWNER_BIT, OWNER_BITS, SLOT_BITS, type VolumeClocks } from "./volume-clocks.ts";

/** Workers that the row of a place names. A block that more have gets a list in `SharedBlocks`. */
export const FEW_OWNERS = 8;
/** In place of a place's entry: the entries are in its row. */
export const ROW_LINK = 1;

/** Whether an entry is a link to a row or a list, which stands in place of a block's only entry. */
export function isLink(entry: number): boolean {
  return entry !== 0 && (entry & OWNER_BIT) === 0;
}

/**
 * The owners that are named in a place of the table or in its row: `first` is the index of the first of `count` entries, the empty ones
 * (0) last.
 */
export class PlaceOwners {
  readonly #cells: Int32Array;
  readonly #clocks: VolumeClocks;

  constructor(cells: Int32Array, clocks: VolumeClocks) {
    this.#cells = cells;
    this.#clocks = clocks;
  }

  /** Whether two blocks have the same owners in the same order, each of them in flight in both or in neither. */
  areAlike(first: number, like: number, count: number): boolean {
    const cells = this.#cells;
    for (let index = 0; index < count; index += 1) {
      const entry = cells[first + index] ?? 0;
      if (((entry ^ (cells[like + index] ?? 0)) & OWNER_BITS) !== 0) return false;
      // The end, or a link to a list.
      if ((entry & OWNER_BIT) === 0) return entry === 0;
    }
    return true;
  }

  /** The entry is the only one. */
  begin(first: number, count: number, entry: number): void {
    this.#cells[first] = entry;
    this.#clear(first + 1, first + count);
  }

  /** As `BlockTable.ownAll`. Returns which of the entries it is; -1 where there is no room for it. */
  own(first: number, count: number, entry: number, kept: number, lastUse: number): number {
    const end = first + count;
    if (isLink(this.#cells[first] ?? 0)) this.#clear(first, end);
    if (this.#clocks.mayHaveLostSince(lastUse)) this.#removeLost(first, end, lastUse);
    let index = first;
    for (; index < end; index += 1) {
      const other = this.#cells[index] ?? 0;
      if (other === 0) break;
      if (((other ^ entry) & SLOT_BITS) !== 0) continue;
      this.#cells[index] = this.#clocks.renewed(other, (entry & ~kept) | (other & kept));
      return index - first;
    }
    if (index === end) index = this.#removeLost(first, end, lastUse);
    if (index === end) return -1;
    this.#cells[index] = entry;
    return index - first;
  }

  /** The worker is no longer an owner, if its entry has these bits. */
  drop(first: number, count: number, slot: number, bits: number): void {
    if (isLink(this.#cells[first] ?? 0)) return;
    let kept = first;
    for (let index = first; index < first + count; index += 1) {
      const entry = this.#cells[index] ?? 0;
      if (entry === 0) break;
      if ((entry & SLOT_BITS) !== slot || (entry & bits) !== bits) this.#cells[kept++] = entry;
    }
    this.#clear(kept, first + count);
  }

  /** Takes these bits off the worker's entry, if it is an owner. */
  clearBits(first: number, count: number, slot: number, bits: number): void {
    for (let index = first; index < first + count; index += 1) {
      const entry = this.#cells[index] ?? 0;
      if ((entry & OWNER_BIT) !== 0 && (entry & SLOT_BITS) === slot) this.#cells[index] = entry & ~bits;
    }
  }

  /** Moves the owners that still have the block together. Returns the index behind them. */
  #removeLost(first: number, end: number, lastUse: number): number {
    let kept = first;
    for (let index = first; index < end; index += 1) {
      const entry = this.#cells[index] ?? 0;
      if (entry === 0) break;
      if (this.#clocks.isAlive(entry, lastUse)) this.#cells[kept++] = entry;
    }
    this.#clear(kept, end);
    return kept;
  }

  #clear(from: number, end: number): void {
    for (let index = from; index < end; index += 1) this.#cells[index] = 0;
  }
}
