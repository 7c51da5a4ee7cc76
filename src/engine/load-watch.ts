import type { Clock } from "../util/clock.ts";
import { type EngineLoad, engineLoadOf } from "./engine-load.ts";
import type { Fleet } from "./fleet.ts";

/** A report counts until it is as old as this many intervals. */
const KEPT_INTERVALS = 3;

interface Report {
  readonly load: EngineLoad;
  readonly at: number;
}

export interface LoadWatchDeps {
  readonly fleet: Pick<Fleet, "loads">;
  readonly clock: Clock;
  /** Time from the end of one round of questions to the next, ms. */
  readonly everyMs: number;
}

/** Asks the workers again and again how loaded their engines are, and keeps the last answer of each. A worker that does not say has none. */
export class LoadWatch implements Disposable {
  readonly #deps: LoadWatchDeps;
  #reports = new Map<string, Report>();
  #cancel: () => void;
  #isClosed = false;

  constructor(deps: LoadWatchDeps) {
    this.#deps = deps;
    this.#cancel = deps.clock.after(0, () => void this.#ask());
  }

  /** The worker's last report; undefined where there is none, or where it is too old to say how things are. */
  of(id: string): EngineLoad | undefined {
    const { clock, everyMs } = this.#deps;
    const report = this.#reports.get(id);
    return report && clock.now() - report.at <= KEPT_INTERVALS * everyMs ? report.load : undefined;
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#cancel();
  }

  /** One round. Workers that have left are forgotten with it. `Fleet.loads` does not reject: each worker's error is in its result. */
  async #ask(): Promise<void> {
    const { fleet, clock, everyMs } = this.#deps;
    const results = await fleet.loads();
    const reports = new Map<string, Report>();
    for (const { worker, value } of results) {
      const load = value && engineLoadOf(value, worker.kvCapacityTokens);
      const known = load ? { load, at: clock.now() } : this.#reports.get(worker.id);
      if (known) reports.set(worker.id, known);
    }
    this.#reports = reports;
    if (!this.#isClosed) this.#cancel = clock.after(everyMs, () => void this.#ask());
  }
}
