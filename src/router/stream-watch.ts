import type { Clock } from "../util/clock.ts";

/** A stream that is looked at now and then. */
export interface WatchedStream {
  /** Called about once a second with the time. */
  tick(now: number): void;
}

const TICK_MS = 1000;

/** Looks at all live streams once a second: one timer for all, as a timer for each would cost more than the stream's tokens. */
export class StreamWatch implements Disposable {
  readonly #clock: Clock;
  readonly #streams = new Set<WatchedStream>();
  #cancel: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Streams under way. */
  get size(): number {
    return this.#streams.size;
  }

  add(stream: WatchedStream): void {
    this.#streams.add(stream);
    this.#cancel ??= this.#clock.after(TICK_MS, () => this.#tick());
  }

  delete(stream: WatchedStream): void {
    this.#streams.delete(stream);
  }

  [Symbol.dispose](): void {
    this.#cancel?.();
    this.#streams.clear();
  }

  #tick(): void {
    const now = this.#clock.now();
    for (const stream of this.#streams) stream.tick(now);
    this.#cancel = this.#streams.size > 0 ? this.#clock.after(TICK_MS, () => this.#tick()) : undefined;
  }
}
