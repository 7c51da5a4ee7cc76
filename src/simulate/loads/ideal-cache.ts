/** One cache for the whole fleet that never forgets: what no policy can exceed. Blocks are numbers from 1. */
export class IdealCache {
  #seen = new Uint8Array(4096);

  /** How many of the first `count` blocks were seen, without a gap. */
  hits(blocks: Int32Array, count: number): number {
    let found = 0;
    while (found < count && this.#seen[blocks[found] ?? 0] === 1) found += 1;
    return found;
  }

  /** Remembers the first `count` blocks. */
  add(blocks: Int32Array, count: number): void {
    for (let index = 0; index < count && index < blocks.length; index += 1) {
      const block = blocks[index] ?? 0;
      if (block >= this.#seen.length) this.#grow(block);
      this.#seen[block] = 1;
    }
  }

  #grow(block: number): void {
    const seen = new Uint8Array(block * 2);
    seen.set(this.#seen);
    this.#seen = seen;
  }
}
