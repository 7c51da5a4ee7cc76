import type { BreakerNews } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { Clock } from "../util/clock.ts";
import { type BreakerSettings, CircuitBreaker, type BreakerState } from "./circuit-breaker.ts";
import type { LoadLedger } from "./load-ledger.ts";
import type { Worker } from "./worker.ts";
import type { WorkerRegistry } from "./worker-registry.ts";

/** How an attempt at a worker ended, as far as the worker's standing is concerned. */
export interface AttemptOutcome {
  readonly news: BreakerNews;
  /** The attempt was to prove a worker whose breaker is half-open. */
  readonly isProbe: boolean;
  /** Hash of the request: the same request sent again has the same. */
  readonly source: number;
  /** The worker asked to be left alone for this long, ms; 0 where it did not. */
  readonly restMs: number;
  /** What should be looked at anew: whether it is up, or also what it serves. */
  readonly recheck: "health" | "models" | undefined;
  /** It refused our credential: somebody has to do something about it. */
  readonly isRefused: boolean;
}

/** Where attempts report; called for those that tell something, which are few. */
export interface OutcomeSink {
  report(workerId: string, outcome: AttemptOutcome): void;
}

export interface BreakerBoardDeps {
  readonly registry: WorkerRegistry;
  readonly ledger: LoadLedger;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settings: BreakerSettings;
  /** Looks at a worker out of turn. */
  readonly recheck: (workerId: string, what: "health" | "models") => void;
}

interface Watched {
  readonly breaker: CircuitBreaker;
  cancelRest: (() => void) | undefined;
}

/**
 * The breakers of all workers, and who rests because it asked to. What comes of it is published as a change of the worker,
 * so that whoever chooses reads nothing but the registry.
 */
export class BreakerBoard implements OutcomeSink, Disposable {
  readonly #deps: BreakerBoardDeps;
  readonly #watched = new Map<string, Watched>();
  readonly #stopListening: () => void;

  constructor(deps: BreakerBoardDeps) {
    this.#deps = deps;
    this.#stopListening = deps.registry.onChange((before, after) => this.#onChange(before, after));
  }

  report(workerId: string, outcome: AttemptOutcome): void {
    const worker = this.#deps.registry.get(workerId);
    if (!worker) return;
    const watched = this.#watch(worker);
    // Before the breaker hears of it: what opens or closes makes the next probe possible.
    if (outcome.isProbe) this.#deps.ledger.releaseProbe(worker.slot);
    if (outcome.news === "fault") watched.breaker.onFault(outcome.source, outcome.isProbe);
    else if (outcome.news === "answer" && outcome.isProbe) watched.breaker.onProbeAnswer();
    if (outcome.isRefused) {
      this.#deps.logger.error({ worker: workerId, url: worker.url }, "the worker refuses the gateway's credential");
    }
    if (outcome.restMs > 0) this.#rest(worker.id, watched, outcome.restMs);
    if (outcome.recheck) this.#deps.recheck(workerId, outcome.recheck);
  }

  [Symbol.dispose](): void {
    this.#stopListening();
    for (const { breaker, cancelRest } of this.#watched.values()) {
      breaker.close();
      cancelRest?.();
    }
    this.#watched.clear();
  }

  #watch(worker: Worker): Watched {
    const known = this.#watched.get(worker.id);
    if (known) return known;
    const { settings, clock, ledger } = this.#deps;
    const breaker = new CircuitBreaker({
      settings,
      clock,
      finished: () => ledger.finished(worker.slot),
      onTransition: (state) => this.#onTransition(worker.id, state),
    });
    const watched: Watched = { breaker, cancelRest: undefined };
    this.#watched.set(worker.id, watched);
    return watched;
  }

  #onTransition(id: string, to: BreakerState): void {
    const { registry, ledger, logger } = this.#deps;
    const worker = registry.get(id);
    if (!worker) return;
    ledger.releaseProbe(worker.slot);
    logger.info({ worker: id, url: worker.url, from: worker.breakerState, to }, "breaker");
    registry.update(id, { breakerState: to });
  }

  #rest(id: string, watched: Watched, restMs: number): void {
    const { registry, clock } = this.#deps;
    const until = clock.now() + restMs;
    if (until <= (registry.get(id)?.restUntil ?? 0)) return;
    watched.cancelRest?.();
    watched.cancelRest = clock.after(restMs, () => {
      if (registry.get(id)) registry.update(id, { restUntil: undefined });
    });
    registry.update(id, { restUntil: until });
  }

  #onChange(before: Worker | undefined, after: Worker | undefined): void {
    if (!after) {
      const gone = before && this.#watched.get(before.id);
      gone?.breaker.close();
      gone?.cancelRest?.();
      if (before) this.#watched.delete(before.id);
    } else if (after.status === "ready" && before?.status !== "ready") {
      // A worker that was out and is back is another process: what its breaker remembers is not about it.
      this.#watched.get(after.id)?.breaker.reset();
    }
  }
}
