/** Entries of one generation. Words repeat within a text and between texts; two generations (64k) cover a language and a program. */
const GENERATION = 32_768;

/**
 * A bounded cache of words and their ids, in two generations. When the younger one is full, the older one is dropped. A word
 * that is used again moves to the younger generation, so words in use stay.
 */
export class WordCache {
  #young = new Map<string, number | Uint32Array>();
  #old = new Map<string, number | Uint32Array>();

  get(word: string): number | Uint32Array | undefined {
    const known = this.#young.get(word);
    if (known !== undefined) return known;
    const older = this.#old.get(word);
    if (older !== undefined) this.#insert(word, older);
    return older;
  }

  /** One id, or several. */
  set(word: string, ids: number | Uint32Array): void {
    // Copied, because a substring of a prompt would keep the whole prompt in memory.
    this.#insert(Buffer.from(word, "utf16le").toString("utf16le"), ids);
  }

  #insert(word: string, ids: number | Uint32Array): void {
    if (this.#young.size >= GENERATION) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(word, ids);
  }
}
