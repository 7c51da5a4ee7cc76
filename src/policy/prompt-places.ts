import { type BlockSets, UNKNOWN } from "./block-sets.ts";
import { MAX_BLOCKS, NO_PROMPT } from "./prefix-blocks.ts";

/** Blocks of a prompt that are noted and looked for together, mostly: the last one stands for all of them. */
export const GROUP = 8;
/** In place of a block's place: nobody has looked for it. */
const NOT_LOOKED_FOR = -2;

/** Cells of the ring: of requests with twenty new blocks each, the last eight hundred. */
const CELLS = 16_384;

/**
 * The places of the blocks that were new to a worker, of the last requests: a ring, so that most of them need not be looked for once more when
 * the request has its first token. A place may have another block by then, which the reader must check.
 */
export class NotedPlaces {
  readonly #cells = new Int32Array(CELLS);
  #next = 0;

  /** Notes the places of a prompt's blocks from the number `from` on. Returns the number of the note. */
  note(prompt: PromptPlaces, from: number): number {
    const note = this.#next;
    this.#cells[note & (CELLS - 1)] = from;
    for (let block = from; block < prompt.hashes.length; block += 1) {
      this.#cells[(note + 1 + block - from) & (CELLS - 1)] = prompt.at(block);
    }
    this.#next = (note + 1 + prompt.hashes.length - from) | 0;
    return note;
  }

  /** Puts the places of a note about a prompt with `count` blocks into `places`. Returns the number of the first one, `count` where there is none any more. */
  read(note: number, count: number, places: Int32Array): number {
    if (((this.#next - note) | 0) > CELLS) return count;
    const from = this.#cells[note & (CELLS - 1)] ?? 0;
    for (let block = from; block < count; block += 1) {
      places[block] = this.#cells[(note + 1 + block - from) & (CELLS - 1)] ?? 0;
    }
    return from;
  }
}

/** The places of one prompt's blocks in the table as they were a moment ago, by the number of the block. */
export class PromptPlaces {
  readonly #sets: BlockSets;
  readonly #places = new Int32Array(MAX_BLOCKS);
  /** Blocks from this one on were fetched from memory. */
  #touchedFrom = 0;
  /** The prompt's. */
  hashes = NO_PROMPT.hashes;

  constructor(sets: BlockSets) {
    this.#sets = sets;
  }

  /**
   * Begins with a prompt, of which only the blocks from the number `from` on are asked for. Those of a note need not be looked for.
   */
  begin(hashes: Int32Array, from: number, notes: NotedPlaces, note: number | undefined): void {
    this.hashes = hashes;
    const noted = note === undefined ? hashes.length : notes.read(note, hashes.length, this.#places);
    this.#sets.touch(hashes, from, noted);
    for (let block = from; block < noted; block += 1) this.#places[block] = NOT_LOOKED_FOR;
    this.#touchedFrom = from;
  }

  /**
   * Begins with a prompt. Returns how many of its first blocks are known: whole groups whose last block is, and then the blocks up to one
   * that is not. Those behind it are fetched from memory, and looked for where they are asked for.
   */
  match(hashes: Int32Array): number {
    this.hashes = hashes;
    const places = this.#places;
    let known = 0;
    for (; known + GROUP <= hashes.length; known += GROUP) {
      const last = known + GROUP - 1;
      const place = this.#sets.placeOf(hashes[last] ?? 0);
      if (place < 0) break;
      for (let block = known; block < last; block += 1) places[block] = NOT_LOOKED_FOR;
      places[last] = place;
    }
    this.#sets.touch(hashes, known, hashes.length);
    this.#touchedFrom = known;
    for (; known < hashes.length; known += 1) {
      const place = this.#sets.placeOf(hashes[known] ?? 0);
      places[known] = place;
      if (place < 0) break;
    }
    for (let block = known + 1; block < hashes.length; block += 1) places[block] = NOT_LOOKED_FOR;
    return known;
  }

  /** The place of a block, or UNKNOWN. */
  at(block: number): number {
    const place = this.#places[block] ?? UNKNOWN;
    if (place !== NOT_LOOKED_FOR) return place;
    return (this.#places[block] = this.#sets.placeOf(this.hashes[block] ?? 0));
  }

  /** The place that is known of a block, without a look at the table; below 0 where it must be looked for. */
  noted(block: number): number {
    return this.#places[block] ?? UNKNOWN;
  }

  /** The block has got a place. */
  put(block: number, place: number): void {
    this.#places[block] = place;
  }

  /** Fetches all blocks from the number `from` to before `to` from memory, which will be asked for. */
  touch(from: number, to: number): void {
    if (from < this.#touchedFrom) this.#sets.touch(this.hashes, from, Math.min(to, this.#touchedFrom));
  }
}
