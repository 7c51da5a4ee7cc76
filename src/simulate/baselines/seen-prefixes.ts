import type { Candidate } from "../../policy/policy.ts";
import { blocksEnd, type PromptBlocks } from "../../policy/prefix-blocks.ts";

/** Bytes of a prompt's token in the simulator: prompts there are token ids. */
const TOKEN_BYTES = 4;

/**
 * What each worker was sent: for each an exact list of blocks, the least recently used of which are dropped when they are more than the
 * worker's KV cache holds. Most gateways know less: their lists have fixed sizes or times.
 */
export class SeenPrefixes {
  /** By slot: bytes of each block by its hash, the least recently used first. */
  readonly #blocks: Map<number, number>[] = [];
  readonly #bytes: number[] = [];

  /** How many blocks of the prompt, from its beginning, the worker has seen. */
  blocks(slot: number, { hashes }: PromptBlocks): number {
    const blocks = this.#blocks[slot];
    if (!blocks) return 0;
    let matched = 0;
    while (matched < hashes.length && blocks.has(hashes[matched] ?? 0)) matched += 1;
    return matched;
  }

  /** Tokens of the prompt, from its beginning, that the worker has seen. */
  tokens(slot: number, prompt: PromptBlocks): number {
    return blocksEnd(this.blocks(slot, prompt)) / TOKEN_BYTES;
  }

  /** Notes that the worker gets the prompt. */
  insert({ slot, kvCapacityTokens = Number.POSITIVE_INFINITY }: Candidate, { hashes }: PromptBlocks): void {
    const blocks = (this.#blocks[slot] ??= new Map());
    let bytes = this.#bytes[slot] ?? 0;
    // The last block first, so that the end of a prompt is dropped before its beginning.
    for (let block = hashes.length - 1; block >= 0; block -= 1) {
      const hash = hashes[block] ?? 0;
      const size = blocksEnd(block + 1) - blocksEnd(block);
      if (!blocks.delete(hash)) bytes += size;
      blocks.set(hash, size);
    }
    for (const [hash, size] of blocks) {
      if (bytes <= kvCapacityTokens * TOKEN_BYTES) break;
      blocks.delete(hash);
      bytes -= size;
    }
    this.#bytes[slot] = bytes;
  }

  /** Bytes of all blocks that the worker has. */
  size(slot: number): number {
    return this.#bytes[slot] ?? 0;
  }

  /** Forgets a worker that has left or has lost its cache. */
  forget(slot: number): void {
    this.#blocks[slot]?.clear();
    this.#bytes[slot] = 0;
  }
}
