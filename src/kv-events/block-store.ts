import type { BlockKey } from "./cache-event.ts";

/** In place of a block: none. */
export const NO_BLOCK = -1;

/** Blocks for which there is room at first. */
const FIRST_BLOCKS = 256;
/** Approximate bytes of a key of each kind and its places: measured with 300,000 (Bun 1.4.5, 2026-11-27). A text has one byte for each character more. */
const NUMBER_BYTES = 72;
const BIGINT_BYTES = 104;
const TEXT_BYTES = 112;
/** Bytes of a block's numbers: parent, end, holds, children. */
const COLUMNS_BYTES = 4 * 4;

/** What the hashes of a prompt's blocks depend on besides its tokens: the adapter, and the client's salt. */
export interface CacheScope {
  readonly lora: string | undefined;
  readonly salt: string | undefined;
}

/**
 * The blocks of one engine's cache as columns of numbers, so that one of 16 tokens takes some 200 bytes. A block has a number while it is kept.
 * All blocks have as many tokens.
 */
export class BlockStore {
  readonly blockTokens: number;
  /** The prompt's hashes that a block completes; 0 where it completes fewer than `hashesEach`. */
  readonly hashesEach: number;
  readonly #maxBytes: number;
  /** Bytes of the keys. */
  #keyBytes = 0;
  readonly #numbers = new Map<BlockKey, number>();
  #keys: (BlockKey | undefined)[] = [];
  #scopes: (CacheScope | undefined)[] = [];
  #parents: Int32Array;
  #ends: Int32Array;
  #holds: Int32Array;
  #children: Int32Array;
  #tokens: Uint32Array;
  #hashes: Int32Array;
  readonly #free: number[] = [];

  /** `maxBytes`: memory that it may take. */
  constructor(blockTokens: number, hashesEach: number, maxBytes: number) {
    this.blockTokens = blockTokens;
    this.hashesEach = hashesEach;
    this.#maxBytes = maxBytes;
    const size = Math.min(FIRST_BLOCKS, this.#most);
    this.#parents = new Int32Array(size);
    this.#ends = new Int32Array(size);
    this.#holds = new Int32Array(size);
    this.#children = new Int32Array(size);
    this.#tokens = new Uint32Array(size * blockTokens);
    this.#hashes = new Int32Array(size * hashesEach);
  }

  /** Blocks that are kept. */
  get size(): number {
    return this.#numbers.size;
  }

  /** Memory that it takes, bytes, approximately. */
  get bytes(): number {
    return this.#ends.length * this.#columnsBytes + this.#keyBytes;
  }

  /** Whether one more block fits into the memory that it may take. */
  get hasRoom(): boolean {
    const isPlaceFree = this.#free.length > 0 || this.#keys.length < this.#ends.length;
    return (
      this.#keyBytes + TEXT_BYTES < this.#maxBytes - this.#columnsBytes * this.#ends.length &&
      (isPlaceFree || this.#next > this.#ends.length)
    );
  }

  /** Bytes of one block in the columns. */
  get #columnsBytes(): number {
    return COLUMNS_BYTES + 4 * (this.blockTokens + this.hashesEach);
  }

  /** Blocks for which there may be room, with keys of the size that they have on average. */
  get #most(): number {
    const keyBytes = this.size === 0 ? NUMBER_BYTES : this.#keyBytes / this.size;
    return Math.floor(this.#maxBytes / (this.#columnsBytes + keyBytes));
  }

  /** Places that there are when it grows the next time. */
  get #next(): number {
    return Math.min(this.#most, this.#ends.length * 2);
  }

  /** The block's number; NO_BLOCK if it is not kept. */
  find(key: BlockKey): number {
    return this.#numbers.get(key) ?? NO_BLOCK;
  }

  /** Keeps a new block behind `parent`. `scope`: undefined for a block that no prompt of ours can have. */
  add(key: BlockKey, parent: number, tokens: ArrayLike<number>, scope: CacheScope | undefined): number {
    const block = this.#free.pop() ?? this.#keys.length;
    if (block >= this.#ends.length) this.#grow();
    this.#numbers.set(key, block);
    this.#keyBytes += bytesOf(key);
    this.#keys[block] = key;
    this.#scopes[block] = scope;
    this.#parents[block] = parent;
    this.#ends[block] = (parent === NO_BLOCK ? 0 : this.end(parent)) + this.blockTokens;
    this.#holds[block] = 0;
    this.#children[block] = 0;
    this.#tokens.set(tokens, block * this.blockTokens);
    this.#hashes.fill(0, block * this.hashesEach, (block + 1) * this.hashesEach);
    if (parent !== NO_BLOCK) this.#children[parent] = (this.#children[parent] ?? 0) + 1;
    return block;
  }

  /** Drops a block that nobody holds and no other stands behind, and then its parents for which that is so too. */
  drop(block: number): void {
    for (let at = block; at !== NO_BLOCK && this.holds(at) === 0 && this.#children[at] === 0;) {
      const parent = this.#parents[at] ?? NO_BLOCK;
      const key = this.#keys[at];
      if (key !== undefined && this.#numbers.delete(key)) this.#keyBytes -= bytesOf(key);
      this.#keys[at] = undefined;
      this.#scopes[at] = undefined;
      this.#free.push(at);
      if (parent !== NO_BLOCK) this.#children[parent] = (this.#children[parent] ?? 0) - 1;
      at = parent;
    }
  }

  /** Tokens from the beginning of the prompt to the block's end. */
  end(block: number): number {
    return this.#ends[block] ?? 0;
  }

  scope(block: number): CacheScope | undefined {
    return this.#scopes[block];
  }

  /** Who holds it, in the caller's own form; 0 for nobody. */
  holds(block: number): number {
    return this.#holds[block] ?? 0;
  }

  setHolds(block: number, holds: number): void {
    this.#holds[block] = holds;
  }

  /** The prompt's hashes that the block completes. */
  hashes(block: number): Int32Array {
    const from = block * this.hashesEach;
    const all = this.#hashes.subarray(from, from + this.hashesEach);
    const count = all.indexOf(0);
    return count < 0 ? all : all.subarray(0, count);
  }

  setHashes(block: number, hashes: Int32Array): void {
    this.#hashes.set(hashes, block * this.hashesEach);
  }

  /** Writes the tokens of the prompt up to the block's end into `into`, which has room for them. */
  readPrompt(block: number, into: Uint32Array): void {
    for (let at = block; at !== NO_BLOCK; at = this.#parents[at] ?? NO_BLOCK) {
      const from = at * this.blockTokens;
      into.set(this.#tokens.subarray(from, from + this.blockTokens), this.end(at) - this.blockTokens);
    }
  }

  /** All blocks have numbers below this one. Those without a scope below it are none, or of no prompt of ours. */
  get places(): number {
    return this.#keys.length;
  }

  #grow(): void {
    const size = this.#next;
    this.#parents = grown(this.#parents, new Int32Array(size));
    this.#ends = grown(this.#ends, new Int32Array(size));
    this.#holds = grown(this.#holds, new Int32Array(size));
    this.#children = grown(this.#children, new Int32Array(size));
    this.#tokens = grown(this.#tokens, new Uint32Array(size * this.blockTokens));
    this.#hashes = grown(this.#hashes, new Int32Array(size * this.hashesEach));
  }
}

function bytesOf(key: BlockKey): number {
  if (typeof key === "number") return NUMBER_BYTES;
  return typeof key === "bigint" ? BIGINT_BYTES : TEXT_BYTES + key.length;
}

function grown<T extends Int32Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
