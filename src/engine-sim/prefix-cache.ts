/** Bytes of prompt in a block: 16 tokens. */
const BLOCK_BYTES = 64;
const BLOCK_TOKENS = 16;

/** The prefix cache of an engine. It holds whole blocks, and drops those first that were used longest ago. */
export class PrefixCache {
  readonly #maxBlocks: number;
  /** Hash of each block and all that stands before it; the one used last is last. */
  readonly #blocks = new Set<number>();

  constructor(maxTokens: number) {
    this.#maxBlocks = Math.max(1, Math.floor(maxTokens / BLOCK_TOKENS));
  }

  /** Returns how many tokens of the prompt were cached, and caches all blocks of the prompt. */
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
