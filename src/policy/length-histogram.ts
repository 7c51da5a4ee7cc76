import type { AllocateShared } from "./policy.ts";

/** Lengths from 16 tokens to 2 million: 16 bins for each doubling, so a bin's lengths differ by less than 5 %. */
const BINS_PER_DOUBLING = 16;
const FIRST_LENGTH = 16;
const BINS = 17 * BINS_PER_DOUBLING;
/** Largest sum of a bin; further tokens add no information. */
const MOST_TOKENS = 2 ** 30;

/**
 * How many tokens arrived in prompts of each length. The threads count in one memory, with atomics; each reads all counts. Two halves
 * of a window are kept: the current one, and the one before, which counts for less and less of what is new.
 */
export class LengthHistogram {
  /** The time at which this half began, whole ms, modulo 2^31. */
  readonly #since: Int32Array;
  readonly #current: Int32Array;
  readonly #previous: Int32Array;
  readonly #halfMs: number;

  constructor(memory: AllocateShared, halfMs: number) {
    const cells = new Int32Array(memory((1 + 2 * BINS) * Int32Array.BYTES_PER_ELEMENT));
    this.#since = cells.subarray(0, 1);
    this.#current = cells.subarray(1, 1 + BINS);
    this.#previous = cells.subarray(1 + BINS);
    this.#halfMs = halfMs;
  }

  /** Counts a prompt. `nowMs`: a time that all threads share. */
  add(tokens: number, nowMs: number): void {
    this.#turn(nowMs);
    const bin = binOf(tokens);
    if ((this.#current[bin] ?? 0) < MOST_TOKENS)
      Atomics.add(this.#current, bin, Math.min(Math.max(1, tokens), MOST_TOKENS));
  }

  /** Divides the lengths into `parts` ranges with equal sums of tokens; undefined without a prompt in the window. */
  divide(parts: number): LengthRanges | undefined {
    let total = 0;
    for (let bin = 0; bin < BINS; bin += 1) total += this.#tokensIn(bin);
    return total === 0 ? undefined : new LengthRanges((bin) => (this.#tokensIn(bin) / total) * parts, parts);
  }

  #tokensIn(bin: number): number {
    return Atomics.load(this.#current, bin) + Atomics.load(this.#previous, bin);
  }

  /** Begins a new half where the current one is over. Only one thread does it; a count that another adds meanwhile may be lost. */
  #turn(nowMs: number): void {
    const now = Math.floor(nowMs) & 0x7fff_ffff;
    const since = Atomics.load(this.#since, 0);
    if (((now - since) & 0x7fff_ffff) < this.#halfMs) return;
    if (Atomics.compareExchange(this.#since, 0, since, now) !== since) return;
    for (let bin = 0; bin < BINS; bin += 1) {
      Atomics.store(this.#previous, bin, Atomics.exchange(this.#current, bin, 0));
    }
  }
}

function binOf(tokens: number): number {
  if (tokens <= FIRST_LENGTH) return 0;
  return Math.min(BINS - 1, Math.floor(Math.log2(tokens / FIRST_LENGTH) * BINS_PER_DOUBLING));
}

/** Ranges of lengths. One length may be so frequent that it takes several ranges. */
export class LengthRanges {
  /** For each bin the first and the last range that its prompts belong to. */
  readonly #first = new Uint16Array(BINS);
  readonly #last = new Uint16Array(BINS);

  /** `weightOf`: the part of all tokens that a bin has, in ranges; `parts` together. */
  constructor(weightOf: (bin: number) => number, parts: number) {
    let sum = 0;
    for (let bin = 0; bin < BINS; bin += 1) {
      // Of a range that is divided between two lengths, the one with the larger part gets all.
      const first = Math.min(parts - 1, Math.round(sum));
      sum += weightOf(bin);
      this.#first[bin] = first;
      this.#last[bin] = Math.max(first, Math.min(parts, Math.round(sum)) - 1);
    }
  }

  first(tokens: number): number {
    return this.#first[binOf(tokens)] ?? 0;
  }

  last(tokens: number): number {
    return this.#last[binOf(tokens)] ?? 0;
  }
}
