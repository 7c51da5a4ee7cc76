/** Shortest and longest time between the end of a thread and its next start, ms. It doubles while the thread dies young. */
const SHORTEST_MS = 100;
const LONGEST_MS = 10_000;
/** A thread that has lived this long, ms, did not die young. */
const HEALTHY_MS = 30_000;

/** The rest of each thread before its next start. */
export class RestartRests {
  /** By number of the thread: the rest before its next start, ms. */
  readonly #nextMs = new Map<number, number>();

  /** Whether the thread has been restarted before. */
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
