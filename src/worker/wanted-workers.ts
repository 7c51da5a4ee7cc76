import type { Clock } from "../util/clock.ts";
import type { ModelFinder } from "./model-finder.ts";
import type { ModelSnapshot } from "./model-snapshot.ts";

/** The same workers are asked for this often at most, ms, however many requests want them. */
const EVERY_MS = 1000;

/** Has workers probed that requests could not be sent to, as all of their model are down. */
export class WantedWorkers {
  readonly #clock: Clock;
  readonly #finder: Pick<ModelFinder, "wanted">;
  /** When each list may be asked for again, in ms of the clock. A list of which a worker has changed is another list. */
  readonly #nextAt = new WeakMap<ModelSnapshot, number>();

  constructor(clock: Clock, finder: Pick<ModelFinder, "wanted">) {
    this.#clock = clock;
    this.#finder = finder;
  }

  /** Has those of these workers probed that are neither ready nor cordoned, if there are any. */
  ask(workers: ModelSnapshot): void {
    const now = this.#clock.now();
    if (now < (this.#nextAt.get(workers) ?? 0)) return;
    this.#nextAt.set(workers, now + EVERY_MS);
    const down = workers.workers.filter(({ status, spec }) => status !== "ready" && !spec.isCordoned);
    if (down.length > 0) this.#finder.wanted(down.map(({ id }) => id));
  }
}
