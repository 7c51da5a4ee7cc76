/**
 * Most probes at the same time: of workers that are well, and of those that are new or down. A worker that swallows packets holds its
 * probe for the whole time limit, so many of these must not keep well workers from being probed.
 */
const MAX_PROBES = { well: 64, down: 256 } as const;

/** Whose probes run together: those of workers that are well, or of those that are new or down. */
export type Lane = keyof typeof MAX_PROBES;

/** Runs probes, at most so many of each lane at the same time, in the order in which they came. */
export class ProbeLanes<T> {
  readonly #run: (item: T) => Promise<void>;
  readonly #waiting: Readonly<Record<Lane, Set<T>>> = { well: new Set(), down: new Set() };
  readonly #running = { well: 0, down: 0 };

  /** `run` never rejects. */
  constructor(run: (item: T) => Promise<void>) {
    this.#run = run;
  }

  /** Runs the probe of `item` when its lane has a place. */
  add(item: T, lane: Lane): void {
    this.#waiting[lane].add(item);
    this.#start(lane);
  }

  /** Forgets all that wait. */
  clear(): void {
    this.#waiting.well.clear();
    this.#waiting.down.clear();
  }

  #start(lane: Lane): void {
    const waiting = this.#waiting[lane];
    for (const item of waiting) {
      if (this.#running[lane] >= MAX_PROBES[lane]) return;
      waiting.delete(item);
      this.#running[lane] += 1;
      void this.#run(item).finally(() => {
        this.#running[lane] -= 1;
        this.#start(lane);
      });
    }
  }
}
