import { blocksOfText, type PromptBlocks } from "../../policy/prefix-blocks.ts";
import type { Prompt, Segment } from "./load.ts";

/** Free places of the table are filled up to this share. */
const MAX_FILL = 0.6;

/**
 * Numbers for the texts of one run. A text is a chain of segments and a place in the last of them. Equal texts get the same number, and
 * different ones different numbers, so blocks of caches never collide. Prompts need no bytes.
 */
export class Texts {
  /** Three cells for each known pair: what comes before, what follows, and the number of both together. */
  #table = new Int32Array(3 * 4096);
  #used = 0;
  /** Numbers of chains of segments, from 1; negative in the table's first column, where those of blocks are positive. */
  #chains = 0;
  #blocks = 0;

  /** Blocks that have a number: 1 up to this. */
  get blocks(): number {
    return this.#blocks;
  }

  /**
   * Numbers of the whole blocks of an engine's cache, from 1. `answer` is what follows the prompt, where a later prompt holds it.
   */
  blocksOf({ segments, tokens }: Prompt, answer: Segment | undefined, blockTokens: number): Int32Array {
    const blocks = new Int32Array(Math.floor((tokens + (answer?.tokens ?? 0)) / blockTokens));
    const all = answer ? [...segments, answer] : segments;
    let chain = 0;
    let start = 0;
    let block = 0;
    for (const segment of all) {
      chain = this.#chain(chain, segment.id);
      const end = start + segment.tokens;
      for (let at = (block + 1) * blockTokens; at <= end; at += blockTokens) {
        blocks[block] = this.#numberOf(chain, at - start);
        block += 1;
      }
      start = end;
    }
    return blocks;
  }

  /** The blocks that the gateway makes of the prompt. */
  promptBlocksOf({ segments, tokens, bytesPerToken }: Prompt): PromptBlocks {
    const ends: number[] = [];
    const chains: number[] = [];
    let end = 0;
    let chain = 0;
    for (const segment of segments) {
      end += segment.tokens;
      chain = this.#chain(chain, segment.id);
      ends.push(end * bytesPerToken);
      chains.push(chain);
    }
    let at = 0;
    return blocksOfText(Math.floor(tokens * bytesPerToken), (byte) => {
      while ((ends[at] ?? Number.POSITIVE_INFINITY) < byte) at += 1;
      return mix(chains[at] ?? 0, byte - (ends[at - 1] ?? 0));
    });
  }

  #chain(before: number, segment: number): number {
    const place = this.#place(-before - 1, segment);
    return this.#table[place + 2] || this.#fill(-before - 1, segment, (this.#chains += 1));
  }

  #numberOf(chain: number, offset: number): number {
    const place = this.#place(chain, offset);
    return this.#table[place + 2] || this.#fill(chain, offset, (this.#blocks += 1));
  }

  /** Where the pair stands in the table, or the free place where it would. */
  #place(first: number, second: number): number {
    const places = this.#table.length / 3;
    let place = (mix(first, second) >>> 0) % places;
    for (;;) {
      const at = place * 3;
      const number = this.#table[at + 2] ?? 0;
      if (number === 0 || (this.#table[at] === first && this.#table[at + 1] === second)) return at;
      place = place + 1 === places ? 0 : place + 1;
    }
  }

  #fill(first: number, second: number, number: number): number {
    if ((this.#used + 1) * 3 > this.#table.length * MAX_FILL) this.#grow();
    const place = this.#place(first, second);
    this.#table[place] = first;
    this.#table[place + 1] = second;
    this.#table[place + 2] = number;
    this.#used += 1;
    return number;
  }

  #grow(): void {
    const old = this.#table;
    this.#table = new Int32Array(old.length * 2);
    for (let at = 0; at < old.length; at += 3) {
      if (old[at + 2] === 0) continue;
      this.#table.set(old.subarray(at, at + 3), this.#place(old[at] ?? 0, old[at + 1] ?? 0));
    }
  }
}

/** A number of 32 bits for two. */
function mix(first: number, second: number): number {
  let hash = Math.imul(first ^ 0x3c6ef372, 0x9e3779b1) ^ Math.imul(second + 0x7f4a7c15, 0x85ebca77);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
