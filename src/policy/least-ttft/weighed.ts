import { NO_PROMPT, type PromptBlocks } from "../prefix-blocks.ts";

/** Most candidates that are compared for one request. */
export const MOST_COMPARED = 32;

/**
 * What is known of the candidates that are compared for one request: for each of them a place in the lists below, which are used again for
 * the next request. Seconds and tokens, unless said otherwise.
 */
export class Weighed {
  count = 0;
  /** When they were weighed, s. */
  now = 0;
  prompt: PromptBlocks = NO_PROMPT;
  promptTokens = 0;
  /** Index among all candidates, and slot of the worker. */
  readonly index = new Int32Array(MOST_COMPARED);
  readonly slot = new Int32Array(MOST_COMPARED);
  /** Bytes of the prompt that it has, up to the end of a block. */
  readonly matchedBytes = column();
  /** Prompt tokens that it has cached: for certain, with those in flight, and as reckoned. */
  readonly safeTokens = column();
  readonly fullTokens = column();
  readonly cachedTokens = column();
  /** What it must prefill: tokens, and work. */
  readonly uncached = column();
  readonly work = column();
  /** 1 where nothing pends there, so that the request is prefilled at once. */
  readonly isFirst = new Uint8Array(MOST_COMPARED);
  /** Until it begins, its worker's overhead if that is not part of the wait, and its prefill; together, the time to the first token. */
  readonly waitingS = column();
  readonly overheadS = column();
  readonly prefillS = column();
  /** Work of requests without streams that pend there. */
  readonly wholeAhead = column();
  /** Terms of the cost. */
  readonly waiting = column();
  readonly decode = column();
  readonly heldUp = column();
  readonly eviction = column();
  readonly kvWall = column();
  /** Their sum, with `overheadS` and `prefillS`. */
  readonly cost = column();

  /** Time to the first token at the candidate of a place, s. */
  ttftS(at: number): number {
    return (this.waitingS[at] ?? 0) + (this.overheadS[at] ?? 0) + (this.prefillS[at] ?? 0);
  }
}

function column(): Float64Array {
  return new Float64Array(MOST_COMPARED);
}
