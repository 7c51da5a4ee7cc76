import { blocksIn, hashPrompt, SMALLEST_BLOCK_BYTES } from "../policy/prefix-blocks.ts";
import { keyOfSalt } from "../protocol/prompt-key.ts";
import { type BlockKey, type BlocksRemoved, type BlocksStored, type CacheEvent } from "./cache-event.ts";
import { BlockStore, type CacheScope, NO_BLOCK } from "./block-store.ts";
import type { MsgpackValue } from "./msgpack.ts";
import { Tiers } from "./tiers.ts";

/** Bytes of a token id in a prompt (`RequestFeatures.promptBytes`). */
const TOKEN_BYTES = 4;
/** Largest block of an engine, tokens. Engines have 1 to 256. */
const MAX_BLOCK_TOKENS = 8192;
/** Places whose blocks are told in one go: half a millisecond. */
const TELL_PLACES = 1024;
/** So many blocks that cannot be placed, and one for so many known ones, are a fault. A few without a known prompt are those of hybrid models. */
const MIN_UNPLACED = 64;
const MAX_UNPLACED_RATIO = 10;

/** Gets the blocks of prompts, hashed as the policies' index hashes them, that the engine now holds or no longer holds. */
export interface HeldSink {
  stored(lora: string | undefined, hashes: Int32Array): void;
  removed(lora: string | undefined, hashes: Int32Array): void;
  /** All that was stored is gone. */
  cleared(): void;
}

/** Counts of events that the index does not show, since the last `clear`. */
interface Oddities {
  /** Blocks whose parent no event has stored, so that their prompt is not known. */
  orphans: number;
  /** Blocks of another size than the engine's first one, or with more or fewer tokens than they should have. */
  misfits: number;
  /** Blocks of other kinds of attention, of further groups of layers, and in storage that is not the engine's own. */
  foreign: number;
}

/**
 * What one engine holds in its KV cache, by its events, in the terms of the gateway's prefix index.
 *
 * The engine's hashes are only names here: each block comes with its tokens and the name of the block before it, so the gateway makes
 * its own hashes from the tokens. Neither the engine's hash function and seed nor its block size matter. A block of the index (32 tokens at the
 * beginning of a prompt, more behind) belongs to the engine's block that completes it: it is stored with that block and removed with it.
 * Engines drop the end of a prompt before its beginning, so nothing before it is missing meanwhile.
 */
export class HeldBlocks {
  readonly #maxBytes: number;
  readonly #sink: HeldSink;
  readonly #tiers = new Tiers();
  readonly #odd: Oddities = { orphans: 0, misfits: 0, foreign: 0 };
  #store: BlockStore | undefined;
  /** The group of layers whose blocks are followed. */
  #group: number | undefined;
  #prompt = new Uint32Array(1024);
  #isFull = false;

  /** `maxBytes`: memory that it may take; when that is used up, nothing new is kept until `clear`. */
  constructor(maxBytes: number, sink: HeldSink) {
    this.#maxBytes = maxBytes;
    this.#sink = sink;
  }

  /** Engine's blocks that it knows. */
  get blocks(): number {
    return this.#store?.size ?? 0;
  }

  /** Memory that it takes, bytes. */
  get bytes(): number {
    return this.#store?.bytes ?? 0;
  }

  get oddities(): Readonly<Oddities> {
    return this.#odd;
  }

  /** Why it misses blocks although it got all events, as a sentence for operators; undefined where it does not. */
  get fault(): string | undefined {
    if (this.#isFull) return `its blocks need more than the ${this.#maxBytes} bytes that the gateway keeps for them`;
    const { orphans, misfits, foreign } = this.#odd;
    if (!this.#store && foreign >= MIN_UNPLACED)
      return `none of the ${foreign} blocks that it named is of full attention and in its own memory`;
    if (this.#areMany(orphans)) return `${orphans} of its blocks follow others that it has not named`;
    if (!this.#areMany(misfits)) return undefined;
    const size = this.#store ? `${this.#store.blockTokens} tokens of its first block` : "tokens that it gives them";
    return `${misfits} of its blocks do not have the ${size}`;
  }

  #areMany(unplaced: number): boolean {
    return unplaced >= MIN_UNPLACED && unplaced * MAX_UNPLACED_RATIO >= this.blocks;
  }

  /** Takes an event in. Reports of load say nothing of blocks. */
  apply(event: CacheEvent): void {
    if (event.kind === "stored") this.#onStored(event);
    else if (event.kind === "removed") this.#onRemoved(event);
    else if (event.kind === "cleared") this.clear();
  }

  /** Forgets all: the engine has emptied its cache, or is a new process. */
  clear(): void {
    this.#store = undefined;
    this.#group = undefined;
    this.#isFull = false;
    this.#odd.orphans = 0;
    this.#odd.misfits = 0;
    this.#odd.foreign = 0;
    this.#sink.cleared();
  }

  /**
   * Says once more what is held in some of the places for blocks, from the place `from` on, for an index that has forgotten it. Returns where to
   * go on; undefined at the end. Between two calls events may be taken in: what they store and remove is told as it comes.
   */
  tellSome(from: number): number | undefined {
    const store = this.#store;
    if (!store) return undefined;
    const to = Math.min(from + TELL_PLACES, store.places);
    for (let block = from; block < to; block += 1) {
      const scope = store.scope(block);
      if (scope && store.holds(block) !== 0) this.#tellStored(scope, store.hashes(block));
    }
    return to < store.places ? to : undefined;
  }

  #onStored(event: BlocksStored): void {
    const { keys, blockTokens, tokens } = event;
    if (!this.#isFollowed(event)) {
      this.#odd.foreign += keys.length;
    } else if (tokens.length === 0) {
      this.#hold(keys, event.tier);
    } else if (tokens.length === keys.length * blockTokens && blockTokens > 0 && blockTokens <= MAX_BLOCK_TOKENS) {
      this.#take(event);
    } else {
      this.#odd.misfits += keys.length;
    }
  }

  /** Only full attention needs all blocks of a prompt, and of several such groups one speaks for all. */
  #isFollowed({ attention, group, isRemote }: BlocksStored): boolean {
    // Every engine of the fleet can load what is elsewhere: it says nothing for this one.
    if (isRemote) return false;
    if (attention !== undefined && !/^(full|mla|sink)/i.test(attention)) return false;
    this.#group ??= group;
    return group === undefined || group === this.#group;
  }

  #take(event: BlocksStored): void {
    const { keys, blockTokens, tier } = event;
    const store = (this.#store ??= new BlockStore(blockTokens, hashesEach(blockTokens), this.#maxBytes));
    const parent = event.parent === undefined ? NO_BLOCK : store.find(event.parent);
    if (store.blockTokens !== blockTokens) this.#odd.misfits += keys.length;
    else if (event.parent !== undefined && parent === NO_BLOCK) this.#odd.orphans += keys.length;
    else if (parent === NO_BLOCK && this.#areHeld(keys, tier)) return;
    else this.#append(store, parent, event);
  }

  /**
   * Whether each block is held in this tier. vLLM names all blocks of a prompt again where a request asks for a full report
   * (`kv_cache_report_mode`); that stores nothing.
   */
  #areHeld(keys: readonly BlockKey[], tier: string): boolean {
    const store = this.#store;
    return (
      store !== undefined &&
      keys.every((key) => {
        const block = store.find(key);
        return block !== NO_BLOCK && this.#tiers.isHeldIn(store.holds(block), tier);
      })
    );
  }

  #append(store: BlockStore, first: number, event: BlocksStored): void {
    const { keys, tokens, blockTokens, tier } = event;
    let parent = first;
    /** The first of the blocks that are new, if any: all after it are new too. */
    let news = keys.length;
    const blocks: number[] = [];
    for (const [index, key] of keys.entries()) {
      let block = store.find(key);
      if (block === NO_BLOCK) {
        if (this.#isFull || !store.hasRoom) {
          this.#isFull = true;
          break;
        }
        const scope = parent === NO_BLOCK ? rootScope(event) : nextScope(store.scope(parent), event, index);
        block = store.add(key, parent, tokens.slice(index * blockTokens, (index + 1) * blockTokens), scope);
        news = Math.min(news, blocks.length);
      }
      blocks.push(block);
      parent = block;
    }
    if (news < blocks.length) this.#hash(store, blocks, news);
    this.#holdAll(store, blocks, tier);
  }

  /** Makes the hashes of the new blocks from the whole prompt: few blocks complete one of the index's, the fewer the longer the prompt. */
  #hash(store: BlockStore, blocks: readonly number[], news: number): void {
    const last = blocks.at(-1) ?? NO_BLOCK;
    const end = store.end(last);
    const before = blocksIn((store.end(blocks[news] ?? last) - store.blockTokens) * TOKEN_BYTES);
    const scope = store.scope(last) ?? store.scope(blocks[news] ?? last);
    if (!scope || blocksIn(end * TOKEN_BYTES) === before) return;
    if (this.#prompt.length < end) this.#prompt = new Uint32Array(2 ** Math.ceil(Math.log2(end)));
    store.readPrompt(last, this.#prompt);
    const key = scope.salt === undefined ? 0 : keyOfSalt(scope.salt);
    const { hashes } = hashPrompt(new Uint8Array(this.#prompt.buffer, 0, end * TOKEN_BYTES), key);
    for (const block of blocks.slice(news)) {
      if (!store.scope(block)) continue;
      const to = blocksIn(store.end(block) * TOKEN_BYTES);
      const from = blocksIn((store.end(block) - store.blockTokens) * TOKEN_BYTES);
      store.setHashes(block, hashes.subarray(from, to));
    }
  }

  #hold(keys: readonly BlockKey[], tier: string): void {
    const store = this.#store;
    if (!store) {
      this.#odd.orphans += keys.length;
      return;
    }
    const known = keys.map((key) => store.find(key)).filter((block) => block !== NO_BLOCK);
    this.#odd.orphans += keys.length - known.length;
    this.#holdAll(store, known, tier);
  }

  #holdAll(store: BlockStore, blocks: readonly number[], tier: string): void {
    const hashes: number[] = [];
    let scope: CacheScope | undefined;
    for (const block of blocks) {
      const before = store.holds(block);
      store.setHolds(block, this.#tiers.held(before, tier));
      const own = store.scope(block);
      if (before !== 0 || !own) continue;
      scope ??= own;
      hashes.push(...store.hashes(block));
    }
    if (scope) this.#tellStored(scope, Int32Array.from(hashes));
  }

  #tellStored({ lora }: CacheScope, hashes: Int32Array): void {
    if (hashes.length > 0) this.#sink.stored(lora, hashes);
  }

  #onRemoved({ keys, tier, isRemote, group }: BlocksRemoved): void {
    const store = this.#store;
    if (!store || isRemote || (group !== undefined && this.#group !== undefined && group !== this.#group)) return;
    for (const key of keys) {
      const block = store.find(key);
      if (block === NO_BLOCK || store.holds(block) === 0) continue;
      const holds = this.#tiers.released(store.holds(block), tier);
      store.setHolds(block, holds);
      if (holds !== 0) continue;
      const scope = store.scope(block);
      const hashes = store.hashes(block);
      if (scope && hashes.length > 0) this.#sink.removed(scope.lora, hashes.slice());
      store.drop(block);
    }
  }
}

/** Most blocks of the index that one block of the engine completes. */
function hashesEach(blockTokens: number): number {
  return Math.ceil((blockTokens * TOKEN_BYTES) / SMALLEST_BLOCK_BYTES);
}

/** What a prompt's first block depends on besides its tokens; undefined where that is nothing that the gateway can make. */
function rootScope(event: BlocksStored): CacheScope | undefined {
  const [key, ...more] = ownKeys(event, 0);
  if (more.length > 0 || (key !== undefined && typeof key !== "string")) return undefined;
  // An engine may tell the salt in both ways.
  if (key !== undefined && event.salt !== undefined && key !== event.salt) return undefined;
  return { lora: event.lora, salt: event.salt ?? key };
}

/** The scope of a block behind another: that of the other, unless it depends on a picture or the like. */
function nextScope(parent: CacheScope | undefined, event: BlocksStored, index: number): CacheScope | undefined {
  return ownKeys(event, index).length === 0 ? parent : undefined;
}

/** What a block depends on besides its tokens and its adapter: the salt at the beginning of a prompt, pictures. */
function ownKeys({ extraKeys, lora }: BlocksStored, index: number): readonly MsgpackValue[] {
  const keys = extraKeys[index] ?? [];
  return lora !== undefined && keys[0] === lora ? keys.slice(1) : keys.filter((key) => key !== undefined);
}
