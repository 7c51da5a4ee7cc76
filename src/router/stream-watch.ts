import type { Clock } from "../util/clock.ts";
import { Sweep } from "../util/sweep.ts";

/** A stream that gets a tick about once a second. */
export interface WatchedStream {
  /** Called about once a second with the time. */
  tick(now: number): void;
}

const TICK_MS = 1000;

/** Gives all live streams a tick once a second. */
export class StreamWatch implements Disposable {
  readonly #streams = new Set<WatchedStream>();
  readonly #sweep: Sweep;

  constructor(clock: Clock) {
    this.#sweep = new Sweep(clock, TICK_MS, (now) => this.#tick(now));
  }

  /** Number of live streams. */
  get size(): number {
    return this.#streams.size;
  }

  add(stream: WatchedStream): void {
    this.#streams.add(stream);
    this.#sweep.wake();
  }

  delete(stream: WatchedStream): void {
    this.#streams.delete(stream);
  }

  [Symbol.dispose](): void {
    this.#sweep[Symbol.dispose]();
    this.#streams.clear();
  }

  #tick(now: number): boolean {
    for (const stream of this.#streams) stream.tick(now);
    return this.#streams.size > 0;
  }
}
