/** Places of a cache that are told apart. Engines name GPU, CPU, DISK and the like; further names count as the last one. */
const MAX_TIERS = 4;
/** Bits of a count, and the largest one. */
const BITS = 7;
const MOST = 2 ** BITS - 1;

/**
 * Counts in which tiers of an engine's cache a block is held, in one whole number: 0 is nowhere. An engine may hold a block several times in one
 * tier, where two requests computed it at once, and then reports each as stored and as removed.
 */
export class Tiers {
  readonly #names: string[] = [];

  isHeldIn(holds: number, tier: string): boolean {
    return this.#count(holds, this.#shift(tier)) > 0;
  }

  /** `holds` with one more in this tier. */
  held(holds: number, tier: string): number {
    const shift = this.#shift(tier);
    return this.#count(holds, shift) < MOST ? holds + 2 ** shift : holds;
  }

  /** `holds` with one less in this tier. */
  released(holds: number, tier: string): number {
    const shift = this.#shift(tier);
    return this.#count(holds, shift) > 0 ? holds - 2 ** shift : holds;
  }

  #count(holds: number, shift: number): number {
    return (holds >>> shift) & MOST;
  }

  #shift(tier: string): number {
    const known = this.#names.indexOf(tier);
    if (known < 0 && this.#names.length < MAX_TIERS) this.#names.push(tier);
    return (known < 0 ? this.#names.length - 1 : known) * BITS;
  }
}
