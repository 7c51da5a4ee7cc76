import { GatewayError } from "../errors/errors.ts";

/** Workers that can be counted at once. */
const SLOTS = 16_384;
/** Columns of a slot. */
const IN_FLIGHT = 0;
const PENDING_PROMPT_TOKENS = 1;
const DECODING = 2;
const COLUMNS = 4;

/** What one request holds at one worker. Disposing gives back whatever it still holds; doing so twice gives back once. */
export interface Lease extends Disposable {
  /** The first token has come: the prompt is prefilled and the sequence decodes. */
  prefillDone(): void;
}

/**
 * What each worker was sent and has not given back: requests, prompt tokens that are not prefilled, sequences that
 * decode. One array of 32-bit integers in shared memory, changed by atomics only, so that several threads can count in
 * it; a row is 16 bytes.
 */
export class LoadLedger {
  readonly #cells = new Int32Array(new SharedArrayBuffer(SLOTS * COLUMNS * Int32Array.BYTES_PER_ELEMENT));
  readonly #free: number[] = [];
  /** Rows whose worker has left while requests were still counted in them. */
  readonly #retiring = new Set<number>();
  #used = 0;

  /** A row for a new worker. Throws invalid_request when there are no more. */
  acquireSlot(): number {
    const reused = this.#free.pop();
    if (reused !== undefined) return reused;
    if (this.#used === SLOTS)
      throw new GatewayError("invalid_request", `no more than ${SLOTS} workers can be registered`);
    this.#used += 1;
    return this.#used - 1;
  }

  /** The row may go to another worker, as soon as nothing is counted in it any more. */
  releaseSlot(slot: number): void {
    if (this.inFlight(slot) > 0) this.#retiring.add(slot);
    else this.#free.push(slot);
  }

  inFlight(slot: number): number {
    return Atomics.load(this.#cells, slot * COLUMNS + IN_FLIGHT);
  }

  pendingPromptTokens(slot: number): number {
    return Atomics.load(this.#cells, slot * COLUMNS + PENDING_PROMPT_TOKENS);
  }

  decoding(slot: number): number {
    return Atomics.load(this.#cells, slot * COLUMNS + DECODING);
  }

  /** Counts a request from now until the lease is disposed. */
  charge(slot: number, promptTokens: number): Lease {
    const cells = this.#cells;
    const row = slot * COLUMNS;
    let pending = promptTokens;
    let isDecoding = false;
    let isOver = false;
    const whenOver = (): void => this.#retire(slot);
    Atomics.add(cells, row + IN_FLIGHT, 1);
    Atomics.add(cells, row + PENDING_PROMPT_TOKENS, pending);
    return {
      prefillDone() {
        if (isOver || isDecoding) return;
        isDecoding = true;
        Atomics.sub(cells, row + PENDING_PROMPT_TOKENS, pending);
        pending = 0;
        Atomics.add(cells, row + DECODING, 1);
      },
      [Symbol.dispose]() {
        if (isOver) return;
        isOver = true;
        Atomics.sub(cells, row + IN_FLIGHT, 1);
        Atomics.sub(cells, row + PENDING_PROMPT_TOKENS, pending);
        if (isDecoding) Atomics.sub(cells, row + DECODING, 1);
        whenOver();
      },
    };
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

  #retire(slot: number): void {
    if (this.#retiring.size > 0 && this.inFlight(slot) === 0 && this.#retiring.delete(slot)) this.#free.push(slot);
  }
}
