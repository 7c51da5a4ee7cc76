import type { Worker } from "./worker.ts";

/** A worker that is back has this share of its requests from the first moment on. */
const LEAST_SHARE = 0.1;

/**
 * Workers that are back after they were left out, among those that can take a request. The share of the requests that
 * each is a candidate for rises while its slow start lasts, whatever the policy. The lists are made once and used until
 * the workers change, as policies keep what they know of a list.
 */
export class SlowStarts {
  readonly #available: readonly Worker[];
  /** First who will have its full share first. */
  readonly #starting: readonly Worker[];
  /** By how many are left out, the last of them first. */
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

  /** Who is a candidate for one request; `draw` is its random number, from 0 to below 1. Never empty. */
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
