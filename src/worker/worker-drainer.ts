import type { Clock } from "../util/clock.ts";
import type { Worker } from "./worker.ts";

/** Interval in which a draining worker is checked, ms. */
const POLL_MS = 20;

/** Waits for the last requests of workers that are leaving. It changes nothing itself: RouterManager removes the workers. */
export class WorkerDrainer implements Disposable {
  readonly #clock: Clock;
  readonly #cancels = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Calls `onDrained` once, when the worker has no request in flight or `timeoutMs` are over. A worker without requests is drained
   * before this returns. A disposed drainer calls nothing.
   */
  drain(worker: Pick<Worker, "requestsInFlight">, timeoutMs: number, onDrained: () => void): void {
    const until = this.#clock.now() + timeoutMs;
    const look = (): void => {
      if (worker.requestsInFlight === 0 || this.#clock.now() >= until) {
        onDrained();
        return;
      }
      const cancel = this.#clock.after(POLL_MS, () => {
        this.#cancels.delete(cancel);
        look();
      });
      this.#cancels.add(cancel);
    };
    look();
  }

  [Symbol.dispose](): void {
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
  }
}
