/**
 * Bytes of prompt in a block: small at the beginning, where a system prompt ends and a conversation goes its own way, and
 * larger behind, where a long prompt is the same for long. 128 bytes are about 32 tokens of text, two blocks of an engine's own cache.
 */
const BLOCK_BYTES = 128;
const DEEP_BLOCK_BYTES = 512;
const SMALL_BLOCKS = 64;
const SMALL_BYTES = SMALL_BLOCKS * BLOCK_BYTES;
/** Bytes of a prompt that are looked at, from its beginning: 260,000 tokens. */
const MAX_PROMPT_BYTES = 1024 * 1024;
const MAX_BLOCKS = SMALL_BLOCKS + (MAX_PROMPT_BYTES - SMALL_BYTES) / DEEP_BLOCK_BYTES;
/** Places of a set of the table, of which the least recently used one is taken for a new block. */
const WAYS = 8;
/** Workers that are remembered for a block; a further one takes the place of another. */
const OWNERS = 8;
/** Of a place: key, time of last use, owners. */
const PLACE_BYTES = 4 + 4 + OWNERS * 2;
/** Before the places: the time, and room so that they begin on a cache line. */
const HEADER_BYTES = 64;

/** Bytes of memory for an index that remembers this much of prompts. */
export function prefixIndexBytes(maxBytes: number): number {
  return HEADER_BYTES + setsFor(maxBytes) * WAYS * PLACE_BYTES;
}

function setsFor(maxBytes: number): number {
  return 2 ** Math.max(0, Math.floor(Math.log2(maxBytes / BLOCK_BYTES / WAYS)));
}

/**
 * Which workers have seen which beginnings of prompts. A prompt is cut into blocks; each is hashed together with all
 * before it, so a block's hash stands for the whole prefix up to it. A set-associative table in shared memory maps a hash to
 * the workers that were sent it: bounded by construction, evicting as it inserts. Several threads read and write it without
 * locks; what one overwrites of another's is forgotten, as by eviction. Approximate on purpose: hashes are 32 bits, and engines evict
 * without a word.
 */
export class PrefixIndex {
  readonly #setMask: number;
  readonly #time: Int32Array;
  readonly #keys: Int32Array;
  readonly #lastUsed: Int32Array;
  /** Slots of workers plus one, OWNERS for each place; 0 is nobody. */
  readonly #owners: Int16Array;
  readonly #chain = new Int32Array(MAX_BLOCKS);
  #blocks = 0;

  /** `maxBytes` of prompt are remembered at most, rounded down to a power of two of blocks; `memory` is of `prefixIndexBytes`. */
  constructor(maxBytes: number, memory: SharedArrayBuffer = new SharedArrayBuffer(prefixIndexBytes(maxBytes))) {
    const sets = setsFor(maxBytes);
    const places = sets * WAYS;
    this.#setMask = sets - 1;
    this.#time = new Int32Array(memory, 0, 1);
    this.#keys = new Int32Array(memory, HEADER_BYTES, places);
    this.#lastUsed = new Int32Array(memory, HEADER_BYTES + places * 4, places);
    this.#owners = new Int16Array(memory, HEADER_BYTES + places * 8, places * OWNERS);
  }

  /** Hashes a prompt; `match` and `insert` are about it until the next one. Returns the number of its whole blocks. */
  read(prompt: Uint8Array): number {
    const blocks = blocksIn(prompt.length);
    let hash = 0n;
    let from = 0;
    for (let block = 0; block < blocks; block += 1) {
      const end = from + (block < SMALL_BLOCKS ? BLOCK_BYTES : DEEP_BLOCK_BYTES);
      hash = Bun.hash.wyhash(prompt.subarray(from, end), hash);
      const key = Number(BigInt.asIntN(32, hash));
      // 0 marks an empty place.
      this.#chain[block] = key === 0 ? 1 : key;
      from = end;
    }
    this.#blocks = blocks;
    return blocks;
  }

  /**
   * How many blocks from the beginning each worker has seen, into `depths` by its slot (which must be all zero).
   * Returns the greatest.
   */
  match(depths: Int32Array): number {
    let block = 0;
    for (; block < this.#blocks; block += 1) {
      const place = this.#find(this.#chain[block] ?? 0);
      if (place < 0) break;
      // A worker that has seen a block has seen all before it, whether or not it is still named there.
      for (let owner = place * OWNERS; owner < (place + 1) * OWNERS; owner += 1) {
        const slot = this.#owners[owner] ?? 0;
        if (slot > 0) depths[slot - 1] = block + 1;
      }
    }
    return block;
  }

  /** The worker is sent the prompt that was read last. */
  insert(slot: number): void {
    const time = Atomics.add(this.#time, 0, 1) + 1;
    for (let block = 0; block < this.#blocks; block += 1) {
      const key = this.#chain[block] ?? 0;
      let place = this.#find(key);
      if (place < 0) place = this.#claim(key);
      this.#lastUsed[place] = time;
      this.#own(place, slot, time);
    }
  }

  /** The worker has left: nothing is known of it any more, and its slot may go to another. */
  forget(slot: number): void {
    const owner = slot + 1;
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
      // The difference, as the time wraps.
      if ((((this.#lastUsed[place] ?? 0) - (this.#lastUsed[oldest] ?? 0)) | 0) < 0) oldest = place;
    }
    this.#keys[oldest] = key;
    this.#owners.fill(0, oldest * OWNERS, (oldest + 1) * OWNERS);
    return oldest;
  }

  #own(place: number, slot: number, time: number): void {
    const first = place * OWNERS;
    let free = -1;
    for (let index = first; index < first + OWNERS; index += 1) {
      const owner = this.#owners[index];
      if (owner === slot + 1) return;
      if (owner === 0 && free < 0) free = index;
    }
    this.#owners[free < 0 ? first + ((time >>> 0) % OWNERS) : free] = slot + 1;
  }
}

/** Whole blocks of a prompt of this length. */
function blocksIn(bytes: number): number {
  if (bytes <= SMALL_BYTES) return Math.floor(bytes / BLOCK_BYTES);
  return Math.min(MAX_BLOCKS, SMALL_BLOCKS + Math.floor((bytes - SMALL_BYTES) / DEEP_BLOCK_BYTES));
}

/** Share of a prompt that `blocks` blocks are, 0 to 1. */
export function matchedRatio(blocks: number, promptBytes: number): number {
  if (promptBytes === 0) return 0;
  const deep = Math.max(0, blocks - SMALL_BLOCKS);
  const bytes = (blocks - deep) * BLOCK_BYTES + deep * DEEP_BLOCK_BYTES;
  return bytes / Math.min(promptBytes, MAX_PROMPT_BYTES);
}
