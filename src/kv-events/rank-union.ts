import type { HeldSink } from "./held-blocks.ts";

/** Approximate bytes of a block's entry. */
const ENTRY_BYTES = 48;
/** The adapter of blocks without one. */
const BASE = "";

/**
 * What the ranks of one worker hold together: a block counts while any of them holds it, because the worker's own balancer chooses
 * the rank. Only used where there are several ranks.
 */
export class RankUnion {
  readonly #sink: HeldSink;
  /** By adapter and hash: a bit for each rank, of which there are at most 31. */
  readonly #ranks = new Map<string, Map<number, number>>();

  constructor(sink: HeldSink) {
    this.#sink = sink;
  }

  /** Memory that it takes, bytes, approximately. */
  get bytes(): number {
    let bytes = 0;
    for (const held of this.#ranks.values()) bytes += held.size * ENTRY_BYTES;
    return bytes;
  }

  /** Where the events of one rank go. */
  of(rank: number): HeldSink {
    const bit = 2 ** rank;
    return {
      stored: (lora, hashes) => this.#stored(lora, hashes, bit),
      removed: (lora, hashes) => this.#removed(lora, hashes, bit),
      cleared: () => this.#cleared(bit),
    };
  }

  #stored(lora: string | undefined, hashes: Int32Array, bit: number): void {
    let held = this.#ranks.get(lora ?? BASE);
    if (!held) {
      held = new Map();
      this.#ranks.set(lora ?? BASE, held);
    }
    for (const hash of hashes) held.set(hash, (held.get(hash) ?? 0) | bit);
    // Also where another rank has them: the index may have forgotten them.
    this.#sink.stored(lora, hashes);
  }

  #removed(lora: string | undefined, hashes: Iterable<number>, bit: number): void {
    const held = this.#ranks.get(lora ?? BASE);
    if (!held) return;
    const gone: number[] = [];
    for (const hash of hashes) {
      const left = (held.get(hash) ?? 0) & ~bit;
      if (left !== 0) held.set(hash, left);
      else if (held.delete(hash)) gone.push(hash);
    }
    if (gone.length > 0) this.#sink.removed(lora, Int32Array.from(gone));
  }

  #cleared(bit: number): void {
    for (const [lora, held] of this.#ranks) {
      const own = [...held].filter(([, bits]) => (bits & bit) !== 0).map(([hash]) => hash);
      this.#removed(lora === BASE ? undefined : lora, own, bit);
    }
  }
}
