/** Bytes of prompt in a block: 16 tokens. */
const BLOCK_BYTES = 64;
const BLOCK_TOKENS = 16;

/** An engine's prefix cache: whole blocks, least recently used first out. */
export class PrefixCache {
  readonly #maxBlocks: number;
  /** Chained hashes, in order of use. */
  readonly #blocks = new Set<number>();

  constructor(maxTokens: number) {
    this.#maxBlocks = Math.max(1, Math.floor(maxTokens / BLOCK_TOKENS));
  }

  /** Tokens of the prompt that are there; all of its blocks are from now on. */
  use(prompt: Uint8Array): number {
    let hash = 0;
    let cached = 0;
    let isRun = true;
    for (let end = BLOCK_BYTES; end <= prompt.length; end += BLOCK_BYTES) {
      hash = Bun.hash.xxHash32(prompt.subarray(end - BLOCK_BYTES, end), hash);
      isRun = this.#blocks.delete(hash) && isRun;
      if (isRun) cached += BLOCK_TOKENS;
      this.#blocks.add(hash);
    }
    this.#evict();
    return cached;
  }

  /** Tokens held now. */
  get tokens(): number {
    return this.#blocks.size * BLOCK_TOKENS;
  }

  clear(): void {
    this.#blocks.clear();
  }

  #evict(): void {
    for (const oldest of this.#blocks) {
      if (this.#blocks.size <= this.#maxBlocks) return;
      this.#blocks.delete(oldest);
    }
  }
}
