/** A stream that gives its tokens when it is told to. */
export interface Paced {
  /** One token; false when it was the last one, or nobody listens any more. */
  step(): boolean;
}

/** The fraction that spreads numbers 0, 1, 2, ... most evenly. */
const GOLDEN = 0.618_033_988_75;

/**
 * Calls each of its streams once per interval, their phases spread evenly over it, as those of many engines would be; those
 * without an interval in turn, as fast as they go. One timer for all.
 */
export class Pacer {
  /** By interval, then by millisecond within it. */
  readonly #wheels = new Map<number, Set<Paced>[]>();
  readonly #eager = new Set<Paced>();
  #tickedMs = Math.floor(performance.now());
  #count = 0;
  #timer: Timer | undefined;

  add(stream: Paced, intervalMs: number): void {
    this.#count += 1;
    if (intervalMs === 0) {
      this.#eager.add(stream);
      if (this.#eager.size === 1) setImmediate(() => this.#turn());
      return;
    }
    let wheel = this.#wheels.get(intervalMs);
    if (!wheel) {
      wheel = Array.from({ length: intervalMs }, () => new Set<Paced>());
      this.#wheels.set(intervalMs, wheel);
    }
    wheel[Math.floor(((this.#count * GOLDEN) % 1) * intervalMs)]?.add(stream);
    if (this.#timer) return;
    this.#tickedMs = Math.floor(performance.now());
    this.#timer = setInterval(() => this.#tick(), 1);
  }

  #turn(): void {
    stepAll(this.#eager);
    if (this.#eager.size > 0) setImmediate(() => this.#turn());
  }

  /** Catches up where the timer came late: a token that is late is not left out. */
  #tick(): void {
    const now = Math.floor(performance.now());
    for (; this.#tickedMs < now; this.#tickedMs += 1) {
      for (const [interval, wheel] of this.#wheels) {
        const slot = wheel[this.#tickedMs % interval];
        if (slot) stepAll(slot);
      }
    }
    if ([...this.#wheels.values()].some((wheel) => wheel.some((slot) => slot.size > 0))) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function stepAll(streams: Set<Paced>): void {
  for (const stream of streams) if (!stream.step()) streams.delete(stream);
}
