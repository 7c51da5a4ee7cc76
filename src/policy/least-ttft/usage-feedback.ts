import { USAGE } from "./shared-layout.ts";

/**
 * Cells: tokens for each byte of text (0: not learned), answers with and without cached tokens, and two shares, each kept as one more, so
 * that 0 means not learned: the worth of a prefix in flight, and how far a prefix reaches into a block beyond those that are known.
 */
const TOKENS_PER_BYTE = USAGE;
const SHARED = USAGE + 1;
const TOLD = USAGE + 2;
const UNTOLD = USAGE + 3;
const BEYOND = USAGE + 4;
/** How often the worth of a prefix in flight was seen. */
const SHARED_SEEN = USAGE + 5;

/** Tokens for each byte of a prompt of token ids, which are 4 bytes each, and of text until it is known. */
export const EXACT_TOKENS_PER_BYTE = 0.25;
const RATIO_WEIGHT = 0.02;
/** Bounds of the ratio: nothing has more tokens than bytes. */
const LEAST_RATIO = 1 / 64;
const MOST_RATIO = 1;
/** In shorter prompts, what the chat template adds is too large a part. */
const LEAST_BYTES = 512;
/**
 * Worth of a prefix in flight until it is known, and the least weight of a new value. The first ones weigh more, as what is usual counts as
 * one value: a fleet would send two families of siblings the wrong way before it knew its engines.
 */
const USUAL_SHARED = 0.5;
const LEAST_SHARED_WEIGHT = 0.2;
/** How far a prefix reaches into the next block until it is known, the weight of a new value, and the most: an answer is cached too. */
const USUAL_BEYOND = 0.5;
const BEYOND_WEIGHT = 0.05;
const MOST_BEYOND = 2;
/** A worker that found less than this share of what is known has evicted it. */
const EVICTED = 0.9;
/** So many more answers without cached tokens than with them, and most of them are taken not to tell. */
const MOSTLY_UNTOLD = 8;

/**
 * What the token counts of answers say about all workers of a model: how many tokens a byte of text makes, and whether a prefix that a
 * worker is still prefilling for one request saves work for the next one. That depends on the engine: some look for cached blocks
 * when a request is admitted, which is before those of its sibling can be found.
 */
export class UsageFeedback {
  readonly #cells: Float64Array;
  #leader: UsageFeedback | undefined;

  constructor(cells: Float64Array) {
    this.#cells = cells;
  }

  /** Tokens for each byte of text. */
  get tokensPerByte(): number {
    return this.#cells[TOKENS_PER_BYTE] || (this.#leader?.tokensPerByte ?? EXACT_TOKENS_PER_BYTE);
  }

  /** Takes the tokens of a byte from workers of the same model whose answers tell them, as long as none was told here. */
  follow(leader: UsageFeedback): void {
    this.#leader = leader;
  }

  /** Share of a prefix in flight that saves work, 0 to 1, for a request that has to wait. Not learned yet, it is a half, or 1 where most answers do not tell cached tokens. */
  get shared(): number {
    const cells = this.#cells;
    // Kept as one more, because 0 means that nothing is known.
    if (cells[SHARED]) return cells[SHARED] - 1;
    return this.#isMostlyUntold ? 1 : USUAL_SHARED;
  }

  /** Whether answers tell how many tokens they found cached. */
  get tellsCached(): boolean {
    return (this.#cells[TOLD] ?? 0) > 0 && !this.#isMostlyUntold;
  }

  /** Some answers may tell: those of streams often do not. */
  get #isMostlyUntold(): boolean {
    return (this.#cells[UNTOLD] ?? 0) - (this.#cells[TOLD] ?? 0) >= MOSTLY_UNTOLD;
  }

  /**
   * How far a prefix that is known up to the end of a block reaches into the next one, in sizes of that one. It may be more than one,
   * because the answer to a prompt is in the cache as well, and the next prompt of a conversation begins with both.
   */
  get beyond(): number {
    return (this.#cells[BEYOND] || 1 + USUAL_BEYOND) - 1;
  }

  /** A prompt of `bytes` of text had so many tokens. */
  promptTokens(bytes: number, tokens: number): void {
    if (bytes < LEAST_BYTES || !(tokens > 0)) return;
    const ratio = Math.min(Math.max(tokens / bytes, LEAST_RATIO), MOST_RATIO);
    const known = this.tokensPerByte;
    this.#cells[TOKENS_PER_BYTE] = known + RATIO_WEIGHT * (ratio - known);
  }

  /** An answer was over, with or without cached tokens in its usage. */
  answered(tellsCached: boolean): void {
    const cell = tellsCached ? TOLD : UNTOLD;
    this.#cells[cell] = (this.#cells[cell] ?? 0) + 1;
  }

  /** A request found so many bytes cached where `matched` were known, in front of a block of this size. */
  cachedBytes(cached: number, matched: number, blockBytes: number): void {
    if (blockBytes === 0 || cached < EVICTED * matched) return;
    const known = this.beyond;
    const share = Math.min(Math.max((cached - matched) / blockBytes, 0), MOST_BEYOND);
    this.#cells[BEYOND] = 1 + known + BEYOND_WEIGHT * (share - known);
  }

  /** A request that had to wait found `cached` tokens, where `safe` were there for certain and `full` with those in flight. */
  cachedTokens(cached: number, safe: number, full: number): void {
    this.sharedSeen((cached - safe) / (full - safe));
  }

  /** A prefix in flight saved a request that had to wait this share of its prefill; of what is below 0 or above 1, the bound counts. */
  sharedSeen(saved: number): void {
    const share = Math.min(Math.max(saved, 0), 1);
    const known = this.shared;
    const seen = (this.#cells[SHARED_SEEN] ?? 0) + 1;
    this.#cells[SHARED_SEEN] = seen;
    this.#cells[SHARED] = 1 + known + Math.max(1 / (seen + 1), LEAST_SHARED_WEIGHT) * (share - known);
  }
}
