import type { Worker } from "./worker.ts";

/** Share of its requests that a worker gets at the beginning of its slow start. */
const LEAST_SHARE = 0.1;

/**
 * Available workers of which some are back after they were left out. During its slow start a worker is a candidate for a rising
 * share of the requests, for any policy. Each list is made once and reused until the workers change, because policies cache
 * facts about a list.
 */
export class SlowStarts {
  readonly #available: readonly Worker[];
  /** In the order in which they will have their full share. */
  readonly #starting: readonly Worker[];
  /** Lists by the number of workers that are left out; the last of `#starting` are left out first. */
  readonly #lists = new Map<number, readonly Worker[]>();

  private constructor(available: readonly Worker[], starting: readonly Worker[]) {
    this.#available = available;
    this.#starting = starting;
  }

  static of(available: readonly Worker[]): SlowStarts | undefined {
    const starting = available.filter(({ slowStart }) => slowStart !== undefined);
    if (starting.length === 0) return undefined;
    return new SlowStarts(
      available,
      starting.toSorted((one, other) => (one.slowStart?.until ?? 0) - (other.slowStart?.until ?? 0)),
    );
  }

  /** Whether the worker with this slot has not its full share yet. */
  has(slot: number): boolean {
    return this.#starting.some((worker) => worker.slot === slot);
  }

  /**
   * The candidates for one request; `draw` is a number of the request in [0, 1), random or its session's. A share only rises, so a session
   * whose number is within it stays so. Never empty.
   */
  candidates(draw: number, now: number): readonly Worker[] {
    let isIn = 0;
    for (const worker of this.#starting) if (draw < shareOf(worker, now)) isIn += 1;
    return this.#without(this.#starting.length - isIn);
  }

  #without(count: number): readonly Worker[] {
    if (count === 0) return this.#available;
    const known = this.#lists.get(count);
    if (known) return known;
    const out = new Set(this.#starting.slice(-count));
    const others = this.#available.filter((worker) => !out.has(worker));
    const list = others.length > 0 ? others : this.#available;
    this.#lists.set(count, list);
    return list;
  }
}

function shareOf({ slowStart }: Worker, now: number): number {
  if (!slowStart) return 1;
  return Math.max(LEAST_SHARE, (now - slowStart.since) / (slowStart.until - slowStart.since));
}
