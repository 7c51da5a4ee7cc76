import { NO_PROMPT, type PromptBlocks } from "../prefix-blocks.ts";

/** Most candidates that are compared for one request. */
export const MOST_COMPARED = 32;

/** Cells of a candidate that was weighed: seconds and tokens, unless said otherwise. First its index among all, and its worker's slot. */
export const INDEX = 0;
export const SLOT = 1;
/** Bytes of the prompt that it has, up to the end of a block. */
export const MATCHED_BYTES = 2;
/** Prompt tokens that it has cached: for certain, with those in flight, and as reckoned. */
export const SAFE_TOKENS = 3;
export const FULL_TOKENS = 4;
export const CACHED_TOKENS = 5;
/** What it must prefill: tokens, and work. */
export const UNCACHED = 6;
export const WORK = 7;
/** 1 where nothing pends there, so that the request is prefilled at once. */
export const IS_FIRST = 8;
/** Until it begins, its worker's overhead if that is not part of the wait, and its prefill; together, the time to the first token. */
export const WAITING_S = 9;
export const OVERHEAD_S = 10;
export const PREFILL_S = 11;
/** Work of requests without streams that pend there. */
export const WHOLE_AHEAD = 12;
/** Terms of the cost. */
export const WAITING = 13;
export const DECODE = 14;
export const HELD_UP = 15;
export const EVICTION = 16;
export const KV_WALL = 17;
export const UNHEARD = 18;
export const ARRIVALS = 19;
/** Their sum, with OVERHEAD_S and PREFILL_S. */
export const COST = 20;
/** Cells of one candidate: with a few more they would begin at a cache line each time, which is not faster. */
export const ROW = 21;

/**
 * What is known of the candidates that are compared for one request: for each of them a row of cells, which are used again for the next
 * request. All in one array: with one for each column a choice between two workers touched fifty cache lines.
 */
export class Weighed {
  count = 0;
  /** When they were weighed, s. */
  now = 0;
  prompt: PromptBlocks = NO_PROMPT;
  promptTokens = 0;
  /** ROW cells for each place. */
  readonly cells = new Float64Array(MOST_COMPARED * ROW);

  /** A cell of the candidate at a place. */
  of(at: number, cell: number): number {
    return this.cells[at * ROW + cell] ?? 0;
  }

  /** Time to the first token at the candidate of a place, s. */
  ttftS(at: number): number {
    return this.of(at, WAITING_S) + this.of(at, OVERHEAD_S) + this.of(at, PREFILL_S);
  }
}
