import type { Clock } from "../util/clock.ts";
import { FailureCounts } from "./failure-counts.ts";
import type { LoadLedger } from "./load-ledger.ts";
import type { Worker, WorkerChange } from "./worker.ts";
import type { WorkerRegistry } from "./worker-registry.ts";

/** How long a worker that declines most requests gets none that others can serve, ms. */
const DECLINING_MS = 1000;
/** Different requests that a worker must decline, and their share of the attempts that ended there. */
const DECLINED_THRESHOLD = 5;
const DECLINED_RATIO = 0.5;

export interface WorkerRestsDeps {
  readonly registry: WorkerRegistry;
  readonly ledger: LoadLedger;
  readonly clock: Clock;
  readonly windowMs: number;
  /** Publishes the change, with the reason why the worker is left out. */
  readonly publish: (id: string, change: WorkerChange) => void;
}

/** Keeps the workers that asked for a rest, and the workers that decline most requests without giving a time. */
export class WorkerRests implements Disposable {
  readonly #deps: WorkerRestsDeps;
  readonly #declined: FailureCounts;
  /** By worker id: cancels its timer. */
  readonly #resting = new Map<string, () => void>();
  readonly #declining = new Map<string, () => void>();

  constructor(deps: WorkerRestsDeps) {
    this.#deps = deps;
    this.#declined = new FailureCounts(deps);
  }

  /** Changes the window in which declined requests are counted. */
  replace(windowMs: number): void {
    this.#declined.replace(windowMs);
  }

  /** Whether the worker declines most requests. It then gets only requests that no other worker can serve. */
  isDeclining(id: string): boolean {
    return this.#declining.has(id);
  }

  /** Lets a worker rest as it asked, even where no other worker can serve. */
  rest(id: string, restMs: number): void {
    const { registry, clock, publish } = this.#deps;
    const until = clock.now() + restMs;
    if (until <= (registry.get(id)?.restUntil ?? 0)) return;
    this.#resting.get(id)?.();
    const cancel = clock.after(restMs, () => {
      this.#resting.delete(id);
      publish(id, { restUntil: undefined });
    });
    this.#resting.set(id, cancel);
    publish(id, { restUntil: until });
  }

  /** Counts a declined request. A worker that declines everything costs each request a second attempt, and those are limited. */
  onDeclined(worker: Worker, source: number | undefined): void {
    this.#declined.add(worker, source);
    if (this.#declining.has(worker.id)) return;
    const isDeclining =
      this.#declined.sources(worker) >= DECLINED_THRESHOLD && this.#declined.recent(worker).ratio >= DECLINED_RATIO;
    if (!isDeclining) return;
    const cancel = this.#deps.clock.after(DECLINING_MS, () => {
      this.#declining.delete(worker.id);
      this.#deps.publish(worker.id, {});
    });
    this.#declining.set(worker.id, cancel);
    this.#deps.publish(worker.id, {});
  }

  /** The worker has left. */
  forget(id: string): void {
    for (const timers of [this.#resting, this.#declining]) {
      timers.get(id)?.();
      timers.delete(id);
    }
  }

  [Symbol.dispose](): void {
    for (const timers of [this.#resting, this.#declining]) {
      for (const cancel of timers.values()) cancel();
      timers.clear();
    }
  }
}
