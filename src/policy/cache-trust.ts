import { SLOTS } from "../util/slots.ts";

/** Cells of a slot: what is missing from full trust, in 65,536ths, and 1 once the worker has told cached tokens. */
const CELLS = 2;
const MISSING = 0;
const HAS_TOLD = 1;
const WHOLE = 65_536;

/** Weight of a new request in what is known: some twenty requests in a row change the trust. */
const WEIGHT = 0.05;
/** Smallest trust. What a worker with it has cached still counts a little, so that requests go on to test it. */
const LEAST = 0.1;
/** A request with a shorter predicted prefix says nothing, tokens: engines cache whole blocks. */
const LEAST_TOKENS = 128;
/** A worker that found this share of what was predicted found all of it: blocks of both sides end at different places. */
const ALL = 0.9;

/** Bytes of shared memory for the trust in all workers. */
export const CACHE_TRUST_BYTES = SLOTS * CELLS * 4;

/**
 * How far the index has been right about each worker, by the cached tokens that the worker counts in its answers. A worker that finds less
 * than was predicted has traffic that this gateway does not see, a smaller cache than it tells, or none. Predictions about it are
 * then multiplied by the share that it found of late: an average over its requests, by how much of each prediction came true.
 */
export class CacheTrust {
  readonly #cells: Int32Array;

  constructor(memory: SharedArrayBuffer, offset: number) {
    this.#cells = new Int32Array(memory, offset, SLOTS * CELLS);
  }

  /** LEAST to 1; 1 until a worker has found less than was predicted. */
  of(slot: number): number {
    return 1 - (this.#cells[slot * CELLS + MISSING] ?? 0) / WHOLE;
  }

  /**
   * Compares a prediction with what the worker found, both in tokens. `found`: undefined where its answer does not tell, which some engines
   * also do where they found nothing; it counts as nothing from a worker that has told some before.
   */
  grade(slot: number, predicted: number, found: number | undefined): void {
    const cell = slot * CELLS;
    if (found !== undefined && found > 0 && this.#cells[cell + HAS_TOLD] === 0) this.#cells[cell + HAS_TOLD] = 1;
    if (predicted < LEAST_TOKENS || (found === undefined && this.#cells[cell + HAS_TOLD] === 0)) return;
    const share = Math.min(1, (found ?? 0) / (ALL * predicted));
    const trust = this.of(slot);
    const next = Math.max(LEAST, trust + WEIGHT * (share - trust));
    this.#cells[cell + MISSING] = Math.floor((1 - next) * WHOLE);
  }

  /** Another process has the slot, or another worker. */
  forget(slot: number): void {
    this.#cells.fill(0, slot * CELLS, (slot + 1) * CELLS);
  }
}
