import type { Clock } from "../util/clock.ts";
import type { WorkerRegistry } from "./worker-registry.ts";

/** How often a leaving worker is looked at, ms. */
const POLL_MS = 20;

export interface WorkerDrainerDeps {
  readonly registry: WorkerRegistry;
  readonly clock: Clock;
}

/** Lets workers leave: no new request from now, running ones finish, then they are forgotten. */
export class WorkerDrainer implements Disposable {
  readonly #deps: WorkerDrainerDeps;
  readonly #cancels = new Set<() => void>();

  constructor(deps: WorkerDrainerDeps) {
    this.#deps = deps;
  }

  /**
   * The worker begins to leave before this returns; the promise resolves when it has left: with its last request, or
   * after `timeoutMs`. Throws worker_not_found, also where it is leaving already.
   */
  drain(id: string, timeoutMs: number): Promise<void> {
    const { registry, clock } = this.#deps;
    registry.beginDrain(id);
    const until = clock.now() + timeoutMs;
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = (): void => {
      const worker = registry.get(id);
      if (worker && worker.requestsInFlight > 0 && clock.now() < until) {
        const cancel = clock.after(POLL_MS, () => {
          this.#cancels.delete(cancel);
          look();
        });
        this.#cancels.add(cancel);
        return;
      }
      registry.remove(id);
      resolve();
    };
    look();
    return promise;
  }

  [Symbol.dispose](): void {
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
  }
}
