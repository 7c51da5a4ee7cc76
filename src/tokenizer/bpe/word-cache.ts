/** Entries of a generation. Words of text repeat within it and between requests; 64k cover a language and a program. */
const GENERATION = 32_768;

/**
 * Ids of words, bounded: two generations, of which the older is dropped when the younger is full. A word that is met again
 * moves to the younger, so what is used stays.
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
    // A word cut out of a prompt would keep all of the prompt alive.
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
