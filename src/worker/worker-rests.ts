import type { Clock } from "../util/clock.ts";
import { FailureCounts } from "./failure-counts.ts";
import type { LoadLedger } from "./load-ledger.ts";
import type { Worker, WorkerChange } from "./worker.ts";
import type { WorkerRegistry } from "./worker-registry.ts";

/** A worker that declines most of what it is asked is asked again after this time, ms, where others can serve. */
const DECLINING_MS = 1000;
/** So many different requests that it declined, and this share of what ended there. */
const DECLINED_THRESHOLD = 5;
const DECLINED_RATIO = 0.5;

export interface WorkerRestsDeps {
  readonly registry: WorkerRegistry;
  readonly ledger: LoadLedger;
  readonly clock: Clock;
  readonly windowMs: number;
  /** Publishes the change, and why the worker is left out. */
  readonly publish: (id: string, change: WorkerChange) => void;
}

/** Workers that asked to be left alone, and those that decline most of what they are asked without saying for how long. */
export class WorkerRests implements Disposable {
  readonly #deps: WorkerRestsDeps;
  readonly #declined: FailureCounts;
  /** By worker: calls its timer off. */
  readonly #resting = new Map<string, () => void>();
  readonly #declining = new Map<string, () => void>();

  constructor(deps: WorkerRestsDeps) {
    this.#deps = deps;
    this.#declined = new FailureCounts(deps);
  }

  /** It declines most of what it is asked: it is asked only where nobody else can serve. */
  isDeclining(id: string): boolean {
    return this.#declining.has(id);
  }

  /** It asked to be left alone, and is, whether anybody else can serve or not. */
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

  /** One that declines all it is asked costs each request a second attempt, of which there are not enough for all. */
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
