/** Between the end of a thread and its next start, ms; doubles while the thread dies young. */
const SHORTEST_MS = 100;
const LONGEST_MS = 10_000;
/** A thread that has lived for so long did not die of its start, ms. */
const HEALTHY_MS = 30_000;

/** How long each thread rests before it is started anew. */
export class RestartRests {
  /** By number of the thread, the rest before its next restart, ms. */
  readonly #nextMs = new Map<number, number>();

  /** The thread has been started anew before. */
  has(thread: number): boolean {
    return this.#nextMs.has(thread);
  }

  /** The rest of a thread that lived for `livedMs`, ms. The next one is twice as long, unless the thread lives long. */
  take(thread: number, livedMs: number): number {
    const restMs = livedMs > HEALTHY_MS ? SHORTEST_MS : (this.#nextMs.get(thread) ?? SHORTEST_MS);
    this.#nextMs.set(thread, Math.min(restMs * 2, LONGEST_MS));
    return restMs;
  }
}
