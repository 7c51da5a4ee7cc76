/** Bounds of batches that wait for an earlier one. */
const MAX_BATCHES = 16_384;
const MAX_BYTES = 33_554_432;

/** Batches that came before their turn, by sequence number. What is beyond the bounds is dropped: it is asked for again later. */
export class EarlyBatches {
  readonly #payloads = new Map<number, Uint8Array>();
  #bytes = 0;

  get size(): number {
    return this.#payloads.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The smallest sequence number; Infinity where there is none. */
  get first(): number {
    let first = Number.POSITIVE_INFINITY;
    for (const sequence of this.#payloads.keys()) first = Math.min(first, sequence);
    return first;
  }

  add(sequence: number, payload: Uint8Array): void {
    if (this.#payloads.has(sequence)) return;
    if (this.#payloads.size >= MAX_BATCHES || this.#bytes + payload.length > MAX_BYTES) return;
    this.#payloads.set(sequence, payload);
    this.#bytes += payload.length;
  }

  /** Takes the batch with this number out; undefined where it has not come. */
  take(sequence: number): Uint8Array | undefined {
    const payload = this.#payloads.get(sequence);
    if (!payload) return undefined;
    this.#payloads.delete(sequence);
    this.#bytes -= payload.length;
    return payload;
  }

  clear(): void {
    this.#payloads.clear();
    this.#bytes = 0;
  }
}
