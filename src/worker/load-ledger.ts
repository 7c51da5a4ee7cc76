import { GatewayError } from "../errors/errors.ts";

/** Workers that can be counted at once. */
const SLOTS = 16_384;
/** Columns of a slot. */
const IN_FLIGHT = 0;
const PENDING_PROMPT_TOKENS = 1;
const DECODING = 2;
/** Attempts that have ended, ever; wraps. */
const FINISHED = 3;
/** Whose request proves a worker whose breaker is half-open: the thread's number and 1, or 0 for none. */
const PROBING = 4;
/** What policies take for requests in flight: those that are, and those that failed a moment ago. */
const LOAD = 5;
/** Prompt tokens of those that failed a moment ago. */
const FAILED_PROMPT_TOKENS = 6;
const COLUMNS = 8;
/** What a thread holds of a slot is given back when the thread dies. */
const HELD_COLUMNS = [IN_FLIGHT, PENDING_PROMPT_TOKENS, DECODING, LOAD, FAILED_PROMPT_TOKENS] as const;

/** Bytes of the shared memory that counts: one table for all, and one for what each thread holds of it. */
const TABLE_BYTES = SLOTS * COLUMNS * Int32Array.BYTES_PER_ELEMENT;

/** What one request holds at one worker. Disposing gives back whatever it still holds; doing so twice gives back once. */
export interface Lease extends Disposable {
  /** The first token has come: the prompt is prefilled and the sequence decodes. */
  prefillDone(): void;
  /**
   * Disposes it, but for what policies see: a worker that fails at once must not look idle to them. The returned function
   * gives that back as well; nothing else does. Undefined where it was disposed already.
   */
  fail(): (() => void) | undefined;
}

/**
 * What each worker was sent and has not given back: requests, prompt tokens that are not prefilled, sequences that
 * decode. Tables of 32-bit integers in shared memory, changed by atomics only, so that several threads count in them; a
 * row is 32 bytes. Rows are given out by the control plane, which has the ledger without a thread number.
 */
export class LoadLedger {
  /** To be passed to the threads that count in the same ledger. */
  readonly memory: SharedArrayBuffer;
  readonly #cells: Int32Array;
  /** What this thread holds, in the same shape; undefined where there is but one thread. */
  readonly #held: Int32Array | undefined;
  /** What stands in PROBING for a proof of this thread. */
  readonly #prover: number;
  readonly #free: number[] = [];
  /** Rows whose worker has left while something was still counted in them. */
  readonly #retiring = new Set<number>();
  #used = 0;

  /** `threads` that have a ledger on the same memory; `thread` is the number of this one, from 0. */
  constructor(
    options: { readonly threads?: number; readonly memory?: SharedArrayBuffer; readonly thread?: number } = {},
  ) {
    const { threads = 0, thread } = options;
    this.memory = options.memory ?? new SharedArrayBuffer(TABLE_BYTES * (threads + 1));
    this.#cells = tableAt(this.memory, 0);
    this.#held = thread === undefined ? undefined : tableAt(this.memory, thread + 1);
    this.#prover = (thread ?? 0) + 1;
  }

  /** A row for a new worker. Throws invalid_request when there are no more. */
  acquireSlot(): number {
    this.#sweepRetired();
    const slot = this.#free.pop() ?? this.#nextSlot();
    this.#cells.fill(0, slot * COLUMNS, (slot + 1) * COLUMNS);
    return slot;
  }

  /** The row may go to another worker, as soon as nothing is counted in it any more. */
  releaseSlot(slot: number): void {
    this.#retiring.add(slot);
    this.#sweepRetired();
  }

  inFlight(slot: number): number {
    return Atomics.load(this.#cells, slot * COLUMNS + IN_FLIGHT);
  }

  /** Requests in flight as policies are to see them. */
  load(slot: number): number {
    return Atomics.load(this.#cells, slot * COLUMNS + LOAD);
  }

  /** Prompt tokens of requests that failed a moment ago, which policies see beside those that are pending. */
  failedPromptTokens(slot: number): number {
    return Atomics.load(this.#cells, slot * COLUMNS + FAILED_PROMPT_TOKENS);
  }

  pendingPromptTokens(slot: number): number {
    return Atomics.load(this.#cells, slot * COLUMNS + PENDING_PROMPT_TOKENS);
  }

  decoding(slot: number): number {
    return Atomics.load(this.#cells, slot * COLUMNS + DECODING);
  }

  /** Attempts that have ended there; differences count, as it wraps at 32 bits. */
  finished(slot: number): number {
    return Atomics.load(this.#cells, slot * COLUMNS + FINISHED);
  }

  /** True for the one caller, of all threads, that may send a request to prove the worker. */
  tryAcquireProbe(slot: number): boolean {
    return Atomics.compareExchange(this.#cells, slot * COLUMNS + PROBING, 0, this.#prover) === 0;
  }

  /** The proof is over, or means nothing any more: another may be tried. */
  releaseProbe(slot: number): void {
    Atomics.store(this.#cells, slot * COLUMNS + PROBING, 0);
  }

  /** Counts a request from now until the lease is disposed. */
  charge(slot: number, promptTokens: number): Lease {
    let pending = promptTokens;
    let isDecoding = false;
    let isOver = false;
    this.#add(slot, IN_FLIGHT, 1);
    this.#add(slot, LOAD, 1);
    this.#add(slot, PENDING_PROMPT_TOKENS, pending);
    const end = (): void => {
      isOver = true;
      this.#add(slot, IN_FLIGHT, -1);
      this.#add(slot, PENDING_PROMPT_TOKENS, -pending);
      if (isDecoding) this.#add(slot, DECODING, -1);
      Atomics.add(this.#cells, slot * COLUMNS + FINISHED, 1);
    };
    return {
      prefillDone: () => {
        if (isOver || isDecoding) return;
        isDecoding = true;
        this.#add(slot, PENDING_PROMPT_TOKENS, -pending);
        pending = 0;
        this.#add(slot, DECODING, 1);
      },
      fail: () => {
        if (isOver) return undefined;
        this.#add(slot, FAILED_PROMPT_TOKENS, promptTokens);
        end();
        return () => {
          this.#add(slot, LOAD, -1);
          this.#add(slot, FAILED_PROMPT_TOKENS, -promptTokens);
        };
      },
      [Symbol.dispose]: () => {
        if (isOver) return;
        end();
        this.#add(slot, LOAD, -1);
      },
    };
  }

  /** A thread has died: gives back all that it held. Called when it cannot count any more. */
  releaseThread(thread: number): void {
    const held = tableAt(this.memory, thread + 1);
    for (let row = 0; row < held.length; row += COLUMNS) {
      for (const column of HELD_COLUMNS) {
        const amount = Atomics.exchange(held, row + column, 0);
        if (amount !== 0) Atomics.sub(this.#cells, row + column, amount);
      }
      // A proof of its own, and not one that another thread has begun since.
      Atomics.compareExchange(this.#cells, row + PROBING, thread + 1, 0);
    }
  }

  /** Over all workers. */
  totals(): { readonly inFlight: number; readonly pendingPromptTokens: number; readonly decoding: number } {
    const sums = [0, 0, 0];
    for (let slot = 0; slot < this.#used; slot += 1) {
      for (let column = 0; column < sums.length; column += 1) {
        sums[column] = (sums[column] ?? 0) + Atomics.load(this.#cells, slot * COLUMNS + column);
      }
    }
    const [inFlight = 0, pendingPromptTokens = 0, decoding = 0] = sums;
    return { inFlight, pendingPromptTokens, decoding };
  }

  #add(slot: number, column: number, amount: number): void {
    Atomics.add(this.#cells, slot * COLUMNS + column, amount);
    if (this.#held) Atomics.add(this.#held, slot * COLUMNS + column, amount);
  }

  #nextSlot(): number {
    if (this.#used === SLOTS) {
      throw new GatewayError("invalid_request", `no more than ${SLOTS} workers can be registered`);
    }
    this.#used += 1;
    return this.#used - 1;
  }

  #sweepRetired(): void {
    for (const slot of this.#retiring) {
      if (this.load(slot) > 0) continue;
      this.#retiring.delete(slot);
      this.#free.push(slot);
    }
  }
}

function tableAt(memory: SharedArrayBuffer, index: number): Int32Array {
  return new Int32Array(memory, index * TABLE_BYTES, SLOTS * COLUMNS);
}
