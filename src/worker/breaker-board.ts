import type { ErrorCode } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Clock } from "../util/clock.ts";
import type { AttemptOutcome, OutcomeSink } from "./attempt-outcome.ts";
import { type BreakerSettings, CircuitBreaker, type BreakerState } from "./circuit-breaker.ts";
import type { LoadLedger } from "./load-ledger.ts";
import { OutlierDetector, type OutlierSettings } from "./outlier-detector.ts";
import { PanicWatch } from "./panic-watch.ts";
import type { Trouble, TroubleReason, Worker, WorkerChange } from "./worker.ts";
import type { WorkerRegistry } from "./worker-registry.ts";
import { WorkerRests } from "./worker-rests.ts";

export interface BreakerBoardDeps {
  readonly registry: WorkerRegistry;
  readonly ledger: LoadLedger;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly settings: BoardSettings;
  /** Makes the health checker probe a worker at once. */
  readonly recheck: (workerId: string, what: "health" | "models") => void;
}

export interface BoardSettings {
  readonly breaker: BreakerSettings;
  readonly outliers: OutlierSettings;
  /** How long a worker that is back gets less than its share, ms. */
  readonly slowStartMs: number;
}

/** Shortest time between two published last errors of a worker, unless the error also changes its standing, ms. */
const LAST_ERROR_EVERY_MS = 10_000;
/** Shortest time between two log lines about the limit of ejections, ms. */
const LIMIT_EVERY_MS = 60_000;

interface Watched {
  readonly breaker: CircuitBreaker;
  cancelSlowStart: (() => void) | undefined;
  lastErrorAt: number;
}

/**
 * Decides which workers are left out, and why. It has the breakers of all workers, finds workers that fail where others do
 * not (OutlierDetector), and knows which workers asked for a rest. It publishes each decision as a change of the worker, so
 * routers read only the registry.
 */
export class BreakerBoard implements OutcomeSink, Disposable {
  #deps: BreakerBoardDeps;
  readonly #watched = new Map<string, Watched>();
  readonly #outliers: OutlierDetector;
  readonly #rests: WorkerRests;
  readonly #panic: PanicWatch;
  readonly #stopListening: () => void;
  #limitToldAt = Number.NEGATIVE_INFINITY;

  constructor(deps: BreakerBoardDeps) {
    this.#deps = deps;
    this.#outliers = new OutlierDetector({
      ...deps,
      settings: outlierSettings(deps.settings),
      onSuspected: (worker) => this.#onSuspected(worker),
      onProving: (worker) => this.#publish(worker.id, {}),
      onJudged: (worker, isGuilty) => this.#onJudged(worker, isGuilty),
      onLimit: (worker) => this.#onLimit(worker),
    });
    this.#rests = new WorkerRests({
      ...deps,
      windowMs: deps.settings.breaker.windowMs,
      publish: (id, change) => this.#publish(id, change),
    });
    this.#panic = new PanicWatch(deps.registry, deps.logger);
    this.#stopListening = deps.registry.onChange((before, after) => this.#onChange(before, after));
  }

  /** Changes when workers are left out. Breakers that are open keep the time that they opened for. */
  replace(settings: BoardSettings): void {
    this.#deps = { ...this.#deps, settings };
    this.#outliers.replace(outlierSettings(settings));
    this.#rests.replace(settings.breaker.windowMs);
    for (const { breaker } of this.#watched.values()) breaker.replace(settings.breaker);
  }

  report(workerId: string, outcome: AttemptOutcome): void {
    const worker = this.#deps.registry.get(workerId);
    if (!worker) return;
    const watched = this.#watch(worker);
    // Before the breaker gets the outcome, because a change of its state allows the next probe.
    if (outcome.holdsProbe) this.#deps.ledger.releaseProbe(worker.slot);
    this.#tellBreaker(worker, watched.breaker, outcome);
    if (outcome.restMs > 0) this.#rests.rest(workerId, outcome.restMs);
    else if (outcome.isDeclined && !this.#deps.settings.breaker.disabled) {
      this.#rests.onDeclined(worker, outcome.source);
    }
    if (outcome.error) this.#publishError(worker.id, watched, outcome.error);
    if (outcome.recheck) this.#deps.recheck(workerId, outcome.recheck);
  }

  /** Models whose ejections are ignored at present. */
  get panicking(): Iterable<string> {
    return this.#panic.models;
  }

  [Symbol.dispose](): void {
    this.#stopListening();
    this.#outliers[Symbol.dispose]();
    this.#rests[Symbol.dispose]();
    for (const watched of this.#watched.values()) close(watched);
    this.#watched.clear();
  }

  #tellBreaker(worker: Worker, breaker: CircuitBreaker, { news, isProbe, source, error }: AttemptOutcome): void {
    if (error?.code === "upstream_auth_failed") {
      breaker.open("credential");
      return;
    }
    const isFailure = news === "fault" || news === "doubtful" || news === "failure";
    if (isFailure) this.#outliers.onFailure(worker, source, news === "fault");
    if (isProbe && this.#outliers.isSuspected(worker.id)) {
      if (isFailure || error === undefined) this.#outliers.onProof(worker, isFailure, source);
    } else if (isProbe)
      this.#onProof(worker, breaker, { news, source, isGood: error === undefined && news === "answer" });
    else if (news === "fault") breaker.onFault(source ?? Math.random(), () => true);
    else if (news === "doubtful") {
      breaker.onFault(source ?? Math.random(), () => !this.#outliers.isRequestsDoing(worker));
    }
  }

  /** Judges a probe of a half-open breaker. The verdict depends on why the worker was left out. */
  #onProof(
    worker: Worker,
    breaker: CircuitBreaker,
    { news, source, isGood }: Pick<AttemptOutcome, "news" | "source"> & { readonly isGood: boolean },
  ): void {
    const isEjected = breaker.cause === "failures";
    if (news === "fault" || news === "doubtful" || (news === "failure" && isEjected)) {
      // A request that also failed at another worker is at fault itself, and proves nothing about this worker.
      const isRequest = news !== "fault" && source !== undefined && this.#outliers.failedElsewhere(worker, source);
      if (!isRequest) breaker.onProbeFailure();
    } else if (isGood || (!isEjected && news !== "nothing")) {
      // A refusal shows that the worker can be reached, but not that it can generate.
      breaker.onProbeAnswer();
    }
  }

  #watch(worker: Worker): Watched {
    const known = this.#watched.get(worker.id);
    if (known) return known;
    const { settings, clock, ledger } = this.#deps;
    const breaker = new CircuitBreaker({
      settings: settings.breaker,
      clock,
      finished: () => ledger.finished(worker.slot),
      onTransition: (state, openMs) => this.#onTransition(worker.id, state, openMs),
    });
    const watched: Watched = {
      breaker,
      cancelSlowStart: undefined,
      lastErrorAt: Number.NEGATIVE_INFINITY,
    };
    this.#watched.set(worker.id, watched);
    return watched;
  }

  #onTransition(id: string, to: BreakerState, openMs: number | undefined): void {
    const { registry, ledger, metrics } = this.#deps;
    const worker = registry.get(id);
    const watched = this.#watched.get(id);
    if (!worker || !watched) return;
    ledger.releaseProbe(worker.slot);
    // Also when the worker is back: requests from before it was left out have failed meanwhile.
    if (to !== "half_open") this.#outliers.forget(worker);
    if (to === "open" && worker.breakerState === "closed") {
      const reason = watched.breaker.cause;
      metrics.increment("ejections", { worker: metrics.bounded("worker", worker.url), reason });
    }
    this.#logTransition(worker, to, watched.breaker.cause, openMs);
    const isBack = to === "closed" && worker.breakerState === "half_open";
    this.#publish(id, { breakerState: to, ...(isBack ? this.#slowStart(id, watched) : {}) });
  }

  #logTransition(
    { id, url, breakerState: from, lastError }: Worker,
    to: BreakerState,
    reason: string,
    openMs: number | undefined,
  ): void {
    const { logger } = this.#deps;
    const fields = { worker: id, url, from, to, reason };
    if (openMs === undefined) logger.info(fields, "breaker");
    else {
      const told = { ...fields, for_secs: openMs / 1000, last_error: lastError?.code };
      if (reason === "credential") logger.error(told, "the worker refuses the gateway's credential");
      else logger.warn(told, "breaker");
    }
  }

  #onSuspected(worker: Worker): void {
    this.#deps.logger.info({ worker: worker.id, url: worker.url }, "the worker fails: others are asked for now");
    this.#publish(worker.id, {});
  }

  #onJudged({ id, url }: Worker, isGuilty: boolean): void {
    const { logger, registry, ledger } = this.#deps;
    const worker = registry.get(id);
    if (!worker) return;
    ledger.releaseProbe(worker.slot);
    if (isGuilty) this.#watched.get(id)?.breaker.open("failures");
    else {
      logger.info({ worker: id, url }, "the worker is asked again: it works, or the others fail alike");
      this.#publish(id, {});
    }
  }

  #onLimit({ id, url, modelId }: Worker): void {
    const { logger, metrics, clock } = this.#deps;
    metrics.increment("ejectionsLimited", { model: metrics.bounded("model", modelId) });
    if (clock.now() - this.#limitToldAt < LIMIT_EVERY_MS) return;
    this.#limitToldAt = clock.now();
    logger.warn(
      { worker: id, url, model: modelId },
      "the worker fails and is asked all the same: as many of the model's workers are left out as may be",
    );
  }

  #slowStart(id: string, watched: Watched): WorkerChange {
    const { clock, settings } = this.#deps;
    if (settings.slowStartMs === 0 || watched.breaker.cause === "credential") return {};
    const since = clock.now();
    watched.cancelSlowStart?.();
    watched.cancelSlowStart = clock.after(settings.slowStartMs, () => this.#publish(id, { slowStart: undefined }));
    return { slowStart: { since, until: since + settings.slowStartMs } };
  }

  #publishError(id: string, watched: Watched, error: { readonly code: ErrorCode; readonly message: string }): void {
    const { registry, clock } = this.#deps;
    const worker = registry.get(id);
    const isNews = worker?.trouble !== undefined && (worker.lastError?.at ?? 0) < worker.trouble.since;
    if (!worker || (!isNews && clock.now() - watched.lastErrorAt < LAST_ERROR_EVERY_MS)) return;
    watched.lastErrorAt = clock.now();
    registry.update(id, { lastError: { ...error, at: Date.now() } });
  }

  /** Publishes a change, together with the reason why the worker is left out. Does nothing if the worker has left. */
  #publish(id: string, change: WorkerChange): void {
    const { registry } = this.#deps;
    const worker = registry.get(id);
    if (!worker) return;
    registry.update(id, { ...change, trouble: this.#troubleOf(worker.with(change)) });
  }

  #troubleOf({ id, breakerState, restUntil, trouble }: Worker): Trouble | undefined {
    let reason: TroubleReason | undefined;
    if (breakerState !== "closed") reason = this.#watched.get(id)?.breaker.cause ?? "faults";
    else if (this.#outliers.isSuspected(id)) reason = "suspected";
    else if (restUntil !== undefined || this.#rests.isDeclining(id)) reason = "busy";
    if (reason === undefined) return undefined;
    const mayProve = breakerState === "half_open" || (reason === "suspected" && this.#outliers.isProving(id));
    return { reason, mayProve, since: reason === trouble?.reason ? trouble.since : Date.now() };
  }

  #onChange(before: Worker | undefined, after: Worker | undefined): void {
    if (!after) {
      const gone = before && this.#watched.get(before.id);
      if (gone) close(gone);
      if (before) {
        this.#watched.delete(before.id);
        this.#outliers.forget(before);
        this.#rests.forget(before.id);
      }
    } else if (after.status === "ready" && before?.status !== "ready") {
      // A worker that was down and is back is a new process, so the breaker's memory is not about it.
      this.#outliers.forget(after);
      const watched = this.#watched.get(after.id);
      watched?.breaker.reset();
      watched?.cancelSlowStart?.();
      if (after.trouble || after.slowStart) this.#publish(after.id, { slowStart: undefined });
    }
    this.#panic.onChange(before, after);
  }
}

function outlierSettings({ breaker, outliers }: BoardSettings): OutlierSettings {
  return breaker.disabled ? { ...outliers, failureThreshold: 0 } : outliers;
}

/** Cancels the timers of a worker. */
function close({ breaker, cancelSlowStart }: Watched): void {
  breaker.close();
  cancelSlowStart?.();
}
