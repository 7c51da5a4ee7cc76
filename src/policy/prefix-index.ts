/** Bytes of prompt in a block: about 32 tokens of text, two blocks of an engine's own cache. */
const BLOCK_BYTES = 128;
const BLOCK_WORDS = BLOCK_BYTES / 4;
/** Bytes of a prompt that are looked at, from its beginning: 260,000 tokens. */
const MAX_PROMPT_BYTES = 1024 * 1024;
const MAX_BLOCKS = MAX_PROMPT_BYTES / BLOCK_BYTES;
/** Places of a set of the table, of which the least recently used one is taken for a new block. */
const WAYS = 8;
/** Workers that are remembered for a block; a further one takes the place of another. */
const OWNERS = 8;
/** Workers that can be told apart. */
const MAX_COLUMNS = 32_767;

/**
 * Which workers have seen which beginnings of prompts. A prompt is cut into blocks; each is hashed together with all
 * before it, so a block's hash stands for the whole prefix up to it. A set-associative table of typed arrays maps a hash to
 * the workers that were sent it: bounded by construction, evicting as it inserts, and in a shape that several threads can
 * share. Approximate on purpose: hashes are 32 bits, and engines evict without a word.
 */
export class PrefixIndex {
  readonly #setMask: number;
  readonly #keys: Int32Array;
  readonly #lastUsed: Uint32Array;
  /** Columns plus one, OWNERS for each place; 0 is nobody. */
  readonly #owners: Int16Array;
  readonly #chain = new Int32Array(MAX_BLOCKS);
  #blocks = 0;
  #time = 0;

  /** `maxBytes` of prompt are remembered at most, rounded down to a power of two of blocks. */
  constructor(maxBytes: number) {
    const sets = 2 ** Math.max(0, Math.floor(Math.log2(maxBytes / BLOCK_BYTES / WAYS)));
    this.#setMask = sets - 1;
    this.#keys = new Int32Array(sets * WAYS);
    this.#lastUsed = new Uint32Array(sets * WAYS);
    this.#owners = new Int16Array(sets * WAYS * OWNERS);
  }

  /** Hashes a prompt; `match` and `insert` are about it until the next one. Returns the number of its whole blocks. */
  read(prompt: Uint8Array): number {
    const blocks = Math.min(Math.floor(prompt.length / BLOCK_BYTES), MAX_BLOCKS);
    const words = wordsOf(prompt, blocks);
    let hash = 0;
    for (let block = 0; block < blocks; block += 1) {
      const end = (block + 1) * BLOCK_WORDS;
      for (let index = block * BLOCK_WORDS; index < end; index += 1) hash = mixWord(hash, words[index] ?? 0);
      hash = finish(hash);
      // 0 marks an empty place.
      this.#chain[block] = hash === 0 ? 1 : hash;
    }
    this.#blocks = blocks;
    return blocks;
  }

  /**
   * How many blocks from the beginning each worker has seen, into `depths` by column (which must be all zero). Returns
   * the greatest.
   */
  match(depths: Int32Array): number {
    let block = 0;
    for (; block < this.#blocks; block += 1) {
      const place = this.#find(this.#chain[block] ?? 0);
      if (place < 0) break;
      // A worker that has seen a block has seen all before it, whether or not it is still named there.
      for (let owner = place * OWNERS; owner < (place + 1) * OWNERS; owner += 1) {
        const column = this.#owners[owner] ?? 0;
        if (column > 0) depths[column - 1] = block + 1;
      }
    }
    return block;
  }

  /** The worker is sent the prompt that was read last. */
  insert(column: number): void {
    this.#time = (this.#time + 1) >>> 0;
    for (let block = 0; block < this.#blocks; block += 1) {
      const key = this.#chain[block] ?? 0;
      let place = this.#find(key);
      if (place < 0) place = this.#claim(key);
      this.#lastUsed[place] = this.#time;
      this.#own(place, column);
    }
  }

  /** The worker has left: nothing is known of it any more, and its column may go to another. */
  forget(column: number): void {
    const owner = column + 1;
    for (let index = 0; index < this.#owners.length; index += 1) {
      if (this.#owners[index] === owner) this.#owners[index] = 0;
    }
  }

  #find(key: number): number {
    const first = (key & this.#setMask) * WAYS;
    for (let place = first; place < first + WAYS; place += 1) if (this.#keys[place] === key) return place;
    return -1;
  }

  /** An empty place of the key's set, or the one that was not used for longest. */
  #claim(key: number): number {
    const first = (key & this.#setMask) * WAYS;
    let oldest = first;
    for (let place = first; place < first + WAYS; place += 1) {
      if (this.#keys[place] === 0) {
        oldest = place;
        break;
      }
      if ((this.#lastUsed[place] ?? 0) < (this.#lastUsed[oldest] ?? 0)) oldest = place;
    }
    this.#keys[oldest] = key;
    this.#owners.fill(0, oldest * OWNERS, (oldest + 1) * OWNERS);
    return oldest;
  }

  #own(place: number, column: number): void {
    const first = place * OWNERS;
    let free = -1;
    for (let index = first; index < first + OWNERS; index += 1) {
      const owner = this.#owners[index];
      if (owner === column + 1) return;
      if (owner === 0 && free < 0) free = index;
    }
    this.#owners[free < 0 ? first + (this.#time % OWNERS) : free] = column + 1;
  }
}

/** Columns for workers by id, each a small number that is used again when its worker has left. */
export class Columns {
  readonly #byId = new Map<string, number>();
  readonly #free: number[] = [];
  #next = 0;

  /** One more than the greatest column so far. */
  get size(): number {
    return this.#next;
  }

  /** The worker's column, a new one where it has none; -1 where there are no more. */
  of(id: string): number {
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    if (this.#free.length === 0 && this.#next >= MAX_COLUMNS) return -1;
    const column = this.#free.pop() ?? this.#next++;
    this.#byId.set(id, column);
    return column;
  }

  /** Gives the column back; undefined where the worker had none. */
  release(id: string): number | undefined {
    const column = this.#byId.get(id);
    if (column === undefined) return undefined;
    this.#byId.delete(id);
    this.#free.push(column);
    return column;
  }
}

/** The bytes of the blocks as 32-bit words; copied where they do not begin at a multiple of four. */
function wordsOf(prompt: Uint8Array, blocks: number): Int32Array {
  const aligned = prompt.byteOffset % 4 === 0 ? prompt : prompt.slice(0, blocks * BLOCK_BYTES);
  return new Int32Array(aligned.buffer, aligned.byteOffset, blocks * BLOCK_WORDS);
}

/** One step of MurmurHash3 (32 bits). */
function mixWord(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  const h = hash ^ Math.imul(k, 0x1b873593);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

/** The finalizer of MurmurHash3: every bit of the input changes half of the output's. */
function finish(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Share of a prompt that `blocks` blocks are, 0 to 1. */
export function matchedRatio(blocks: number, promptBytes: number): number {
  return promptBytes === 0 ? 0 : (blocks * BLOCK_BYTES) / Math.min(promptBytes, MAX_PROMPT_BYTES);
}
