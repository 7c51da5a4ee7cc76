import { OWNER_BIT, OWNER_BITS, SLOT_BITS, type VolumeClocks } from "./volume-clocks.ts";

/** Workers that a place of the table names. A block that more have gets a list in `SharedBlocks`. */
export const FEW_OWNERS = 8;

/** Whether an entry is a link to a list, which stands in place of a block's first entry. */
export function isLink(entry: number): boolean {
  return entry !== 0 && (entry & OWNER_BIT) === 0;
}

/** The owners that are named in places of the table: `first` is the index of the first of a place's FEW_OWNERS entries, the empty ones (0) last. */
export class PlaceOwners {
  readonly #cells: Int32Array;
  readonly #clocks: VolumeClocks;

  constructor(cells: Int32Array, clocks: VolumeClocks) {
    this.#cells = cells;
    this.#clocks = clocks;
  }

  /** Whether two places have the same owners in the same order, each of them in flight in both or in neither. */
  areAlike(first: number, like: number): boolean {
    const cells = this.#cells;
    for (let index = 0; index < FEW_OWNERS; index += 1) {
      const entry = cells[first + index] ?? 0;
      if (((entry ^ (cells[like + index] ?? 0)) & OWNER_BITS) !== 0) return false;
      // The end, or a link to a list.
      if ((entry & OWNER_BIT) === 0) return entry === 0;
    }
    return true;
  }

  /** The entry is the only one. */
  begin(first: number, entry: number): void {
    this.#cells[first] = entry;
    this.#clear(first + 1, first);
  }

  /** As `BlockTable.ownAll`. Returns which of the entries it is; -1 where there is no room for it. */
  own(first: number, entry: number, kept: number, lastUse: number): number {
    if (isLink(this.#cells[first] ?? 0)) this.#clear(first, first);
    if (this.#clocks.mayHaveLostSince(lastUse)) this.#removeLost(first, lastUse);
    let index = first;
    for (; index < first + FEW_OWNERS; index += 1) {
      const other = this.#cells[index] ?? 0;
      if (other === 0) break;
      if (((other ^ entry) & SLOT_BITS) !== 0) continue;
      this.#cells[index] = this.#clocks.renewed(other, (entry & ~kept) | (other & kept));
      return index - first;
    }
    if (index === first + FEW_OWNERS) index = this.#removeLost(first, lastUse);
    if (index === first + FEW_OWNERS) return -1;
    this.#cells[index] = entry;
    return index - first;
  }

  /** The worker is no longer an owner, if its entry has these bits. */
  drop(first: number, slot: number, bits: number): void {
    if (isLink(this.#cells[first] ?? 0)) return;
    let end = first;
    for (let index = first; index < first + FEW_OWNERS; index += 1) {
      const entry = this.#cells[index] ?? 0;
      if (entry === 0) break;
      if ((entry & SLOT_BITS) !== slot || (entry & bits) !== bits) this.#cells[end++] = entry;
    }
    this.#clear(end, first);
  }

  /** Takes these bits off the worker's entry, if it is an owner. */
  clearBits(first: number, slot: number, bits: number): void {
    for (let index = first; index < first + FEW_OWNERS; index += 1) {
      const entry = this.#cells[index] ?? 0;
      if ((entry & OWNER_BIT) !== 0 && (entry & SLOT_BITS) === slot) this.#cells[index] = entry & ~bits;
    }
  }

  /** Moves the owners that still have the block together. Returns the index behind them. */
  #removeLost(first: number, lastUse: number): number {
    let end = first;
    for (let index = first; index < first + FEW_OWNERS; index += 1) {
      const entry = this.#cells[index] ?? 0;
      if (entry === 0) break;
      if (this.#clocks.isAlive(entry, lastUse)) this.#cells[end++] = entry;
    }
    this.#clear(end, first);
    return end;
  }

  #clear(from: number, first: number): void {
    for (let index = from; index < first + FEW_OWNERS; index += 1) this.#cells[index] = 0;
  }
}
