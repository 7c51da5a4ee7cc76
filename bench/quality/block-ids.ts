/** Bytes that make one token at the benchmark's engines. */
export const BYTES_PER_TOKEN = 4;
/** Bits of a hash that are kept: two texts out of a hundred million get the same id with a chance of 1 : 1,000. */
const HASH_BITS = 53n;
const MASK = (1n << HASH_BITS) - 1n;

/** Gives each text of whole blocks an id, from 1: equal texts get equal ids at every engine of the process. */
export class BlockIds {
  readonly #ids = new Map<number, number>();

  /** Ids of the whole blocks of a text: each stands for the block and all text before it. */
  of(text: Uint8Array, blockTokens: number): Int32Array {
    const blockBytes = blockTokens * BYTES_PER_TOKEN;
    const ids = new Int32Array(Math.floor(text.length / blockBytes));
    let hash = BigInt(blockTokens);
    for (let block = 0; block < ids.length; block += 1) {
      hash = Bun.hash.xxHash64(text.subarray(block * blockBytes, (block + 1) * blockBytes), hash);
      ids[block] = this.#idOf(Number(hash & MASK));
    }
    return ids;
  }

  #idOf(hash: number): number {
    const known = this.#ids.get(hash);
    if (known !== undefined) return known;
    const id = this.#ids.size + 1;
    this.#ids.set(hash, id);
    return id;
  }
}
