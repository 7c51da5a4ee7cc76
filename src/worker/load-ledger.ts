import { GatewayError } from "../errors/errors.ts";
import { SLOTS } from "../util/slots.ts";

/** Columns of a slot. */
const IN_FLIGHT = 0;
const PENDING_PROMPT_TOKENS = 1;
const DECODING = 2;
/** Attempts that have ended since the beginning; wraps at 32 bits. */
const FINISHED = 3;
/** The thread that probes a worker with a half-open breaker: its number + 1, or 0 for none. */
const PROBING = 4;
/** Requests in flight as policies see them: including those that failed a moment ago. */
const LOAD = 5;
/** Prompt tokens of requests that failed a moment ago. */
const FAILED_PROMPT_TOKENS = 6;
/** Prompt tokens of the requests in LOAD. */
const CONTEXT_TOKENS = 7;
const COLUMNS = 8;
/** Columns that a dead thread's row gives back. */
const HELD_COLUMNS = [IN_FLIGHT, PENDING_PROMPT_TOKENS, DECODING, LOAD, FAILED_PROMPT_TOKENS, CONTEXT_TOKENS] as const;

/** Bytes of one table: one table counts for all threads, and one for each thread counts what it holds. */
const TABLE_BYTES = SLOTS * COLUMNS * Int32Array.BYTES_PER_ELEMENT;

/** The charge of one request at one worker. Disposing gives it back; a second disposal does nothing. */
export interface Lease extends Disposable {
  /** The first token has arrived: the prompt is prefilled, and the sequence decodes. */
  prefillDone(): void;
  /**
   * Disposes the lease, except for the load that policies see: a worker that fails at once must not look idle to them. Only the
   * returned function gives that load back. Returns undefined if the lease was already disposed.
   */
  fail(): (() => void) | undefined;
}

/**
 * Counts for each worker the requests in flight, their prompt tokens, the prompt tokens that are not prefilled, and the sequences that
 * decode. The counts are 32-bit integers in shared memory. Several threads change them with atomics, a single thread with plain arithmetic. A row has 32
 * bytes. The control thread, whose ledger has no thread number, gives out the rows.
 */
export class LoadLedger {
  /** Pass it to the threads that count in the same ledger. */
  readonly memory: SharedArrayBuffer;
  readonly #cells: Int32Array;
  /** This thread's own counts, in the same shape; undefined where there is only one thread. */
  readonly #held: Int32Array | undefined;
  /** The value of PROBING for a probe of this thread. */
  readonly #prover: number;
  /** No other thread counts here, so plain arithmetic does what atomics do, in less time. */
  readonly #isAlone: boolean;
  readonly #free: number[] = [];
  /** Rows of workers that left while requests were still counted in them. */
  readonly #retiring = new Set<number>();
  #used = 0;

  /** `threads`: number of other threads with a ledger on the same memory, 0 where this ledger is the only one; `thread`: number of this thread, from 0. */
  constructor(
    options: { readonly threads?: number; readonly memory?: SharedArrayBuffer; readonly thread?: number } = {},
  ) {
    const { threads = 0, thread } = options;
    this.#isAlone = threads === 0 && options.memory === undefined && thread === undefined;
    this.memory = options.memory ?? new SharedArrayBuffer(TABLE_BYTES * (threads + 1));
    this.#cells = tableAt(this.memory, 0);
    this.#held = thread === undefined ? undefined : tableAt(this.memory, thread + 1);
    this.#prover = (thread ?? 0) + 1;
  }

  /** A row for a new worker. Throws invalid_request when no row is left. */
  acquireSlot(): number {
    this.#sweepRetired();
    const slot = this.#free.pop() ?? this.#nextSlot();
    this.#cells.fill(0, slot * COLUMNS, (slot + 1) * COLUMNS);
    return slot;
  }

  /** Frees the row for another worker, once no request is counted in it. */
  releaseSlot(slot: number): void {
    this.#retiring.add(slot);
    this.#sweepRetired();
  }

  inFlight(slot: number): number {
    return Atomics.load(this.#cells, slot * COLUMNS + IN_FLIGHT);
  }

  /** Requests in flight as policies see them. */
  load(slot: number): number {
    return this.#read(slot, LOAD);
  }

  /** Prompt tokens of requests that failed a moment ago. Policies see them in addition to pending ones. */
  failedPromptTokens(slot: number): number {
    return this.#read(slot, FAILED_PROMPT_TOKENS);
  }

  pendingPromptTokens(slot: number): number {
    return this.#read(slot, PENDING_PROMPT_TOKENS);
  }

  /** Prompt tokens of the requests that `load` counts. */
  contextTokens(slot: number): number {
    return this.#read(slot, CONTEXT_TOKENS);
  }

  decoding(slot: number): number {
    return this.#read(slot, DECODING);
  }

  /** Attempts that have ended at the worker. It wraps at 32 bits, so use differences. */
  finished(slot: number): number {
    return Atomics.load(this.#cells, slot * COLUMNS + FINISHED);
  }

  /** Returns true to only one caller of all threads: it may send a probe to the worker. */
  tryAcquireProbe(slot: number): boolean {
    return Atomics.compareExchange(this.#cells, slot * COLUMNS + PROBING, 0, this.#prover) === 0;
  }

  /** The probe is over or without meaning, so another one may begin. */
  releaseProbe(slot: number): void {
    Atomics.store(this.#cells, slot * COLUMNS + PROBING, 0);
  }

  /**
   * Counts a request until the returned lease is disposed. `promptTokens`: what the worker has to prefill of it; `contextTokens`: the
   * length of its prompt.
   */
  charge(slot: number, promptTokens: number, contextTokens = promptTokens): Lease {
    return new CountedLease(this, slot, promptTokens, contextTokens);
  }

  /** Changes a count of a worker, of all threads and of this one: only leases do. */
  add(slot: number, column: number, amount: number): void {
    const at = slot * COLUMNS + column;
    if (this.#isAlone) {
      this.#cells[at] = (this.#cells[at] ?? 0) + amount;
      return;
    }
    Atomics.add(this.#cells, at, amount);
    // Attempts that have ended are nothing that a thread holds.
    if (this.#held && column !== FINISHED) Atomics.add(this.#held, at, amount);
  }

  /** Gives back everything that a dead thread held. Call it only when the thread can no longer count. */
  releaseThread(thread: number): void {
    const held = tableAt(this.memory, thread + 1);
    for (let row = 0; row < held.length; row += COLUMNS) {
      for (const column of HELD_COLUMNS) {
        const amount = Atomics.exchange(held, row + column, 0);
        if (amount !== 0) Atomics.sub(this.#cells, row + column, amount);
      }
      // Only a probe of the dead thread, not one that another thread has begun since.
      Atomics.compareExchange(this.#cells, row + PROBING, thread + 1, 0);
    }
  }

  /** Sums over all workers. */
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

  /**
   * A count that policies see. A plain read of an aligned cell is a count of this moment or of one just before, which is all that can be known of
   * other threads' requests. An atomic one takes 6.5 ns, twenty times as long, and a choice among eight workers makes 48 of
   * them (Bun 1.4.5, 2026-11-26).
   */
  #read(slot: number, column: number): number {
    return this.#cells[slot * COLUMNS + column] ?? 0;
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

class CountedLease implements Lease {
  readonly #ledger: LoadLedger;
  readonly #slot: number;
  readonly #promptTokens: number;
  readonly #contextTokens: number;
  #pending: number;
  #isDecoding = false;
  #isOver = false;

  constructor(ledger: LoadLedger, slot: number, promptTokens: number, contextTokens: number) {
    this.#ledger = ledger;
    this.#slot = slot;
    this.#promptTokens = promptTokens;
    this.#contextTokens = contextTokens;
    this.#pending = promptTokens;
    ledger.add(slot, IN_FLIGHT, 1);
    ledger.add(slot, LOAD, 1);
    ledger.add(slot, PENDING_PROMPT_TOKENS, promptTokens);
    ledger.add(slot, CONTEXT_TOKENS, contextTokens);
  }

  prefillDone(): void {
    if (this.#isOver || this.#isDecoding) return;
    this.#isDecoding = true;
    this.#ledger.add(this.#slot, PENDING_PROMPT_TOKENS, -this.#pending);
    this.#pending = 0;
    this.#ledger.add(this.#slot, DECODING, 1);
  }

  fail(): (() => void) | undefined {
    if (this.#isOver) return undefined;
    this.#ledger.add(this.#slot, FAILED_PROMPT_TOKENS, this.#promptTokens);
    this.#end();
    return () => {
      this.#ledger.add(this.#slot, FAILED_PROMPT_TOKENS, -this.#promptTokens);
      this.#unload();
    };
  }

  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#end();
    this.#unload();
  }

  #unload(): void {
    this.#ledger.add(this.#slot, CONTEXT_TOKENS, -this.#contextTokens);
    this.#ledger.add(this.#slot, LOAD, -1);
  }

  #end(): void {
    this.#isOver = true;
    this.#ledger.add(this.#slot, IN_FLIGHT, -1);
    this.#ledger.add(this.#slot, PENDING_PROMPT_TOKENS, -this.#pending);
    if (this.#isDecoding) this.#ledger.add(this.#slot, DECODING, -1);
    this.#ledger.add(this.#slot, FINISHED, 1);
  }
}

function tableAt(memory: SharedArrayBuffer, index: number): Int32Array {
  return new Int32Array(memory, index * TABLE_BYTES, SLOTS * COLUMNS);
}
