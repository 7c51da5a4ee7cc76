import type { Clock } from "../util/clock.ts";
import { Sweep } from "../util/sweep.ts";
import { type Count, FailureCounts } from "./failure-counts.ts";
import type { LoadLedger } from "./load-ledger.ts";
import type { Worker } from "./worker.ts";
import { mostEjected } from "./model-snapshot.ts";
import { CLEARLY_BETTER, EXPECTED_FAILURES, MOST, OutlierTrial, type Testimony } from "./outlier-trial.ts";
import type { WorkerRegistry } from "./worker-registry.ts";

export interface OutlierSettings {
  /** Different requests that must fail at a worker before it can be suspected; 0 for never. */
  readonly failureThreshold: number;
  /** Largest share of a model's ready workers that is left out, 0 to 1. With several workers, one may always be. */
  readonly maxShare: number;
  readonly windowMs: number;
}

/** Least share of failed attempts with which a worker counts as failing, where the others have answered enough to compare it with. */
const MIN_RATIO = 0.1;
/** Least number of attempts of a worker that others are compared with. */
const MIN_ENDED = 2;
/** How often running trials are checked, ms. It is short, because each request that a broken worker gets meanwhile fails. */
const LOOK_MS = 10;
/** Most workers that one trial watches. */
const MAX_WITNESSES = 256;
/** After an acquittal the worker is not suspected for this time, ms. If the failures went on at the others, no worker of the model is. */
const AFTER_ACQUITTAL_MS = 10_000;

export interface OutlierDetectorDeps {
  readonly registry: WorkerRegistry;
  readonly ledger: LoadLedger;
  readonly clock: Clock;
  readonly settings: OutlierSettings;
  /** The worker is suspected: requests go to others for now. */
  readonly onSuspected: (worker: Worker) => void;
  /** One probe at a time may go to the worker now. */
  readonly onProving: (worker: Worker) => void;
  /** `isGuilty`: the failures ended when the worker was left out, and it failed its probes. */
  readonly onJudged: (worker: Worker, isGuilty: boolean) => void;
  /** The worker would be suspected, but too many workers are already left out. */
  readonly onLimit: (worker: Worker) => void;
}

/**
 * Finds workers that fail where others do not. Either the worker or the request may be at fault, and one client with requests
 * that fail everywhere must not take the fleet from the others. So an experiment decides whether a worker is ejected:
 *
 * ```
 *            several different requests failed: half of the attempts that ended here, and no other worker is known
 *            to fail in the same way; or a tenth of them, and the others have answered enough and do clearly better
 *   trusted ------------------------------------------------------> suspected (others get the requests)
 *     ^                                                               |   |
 *     +--- the failures go on at the others: requests are at fault ---+   |
 *     |                                                                   |  the failures end
 *     |                                                                   v
 *     +--- the probes are as of a well worker ------------------- probed (one request at a time)
 *                                                                         +--- they are as before: ejected
 * ```
 *
 * The probes are for this case: a client sends a few requests that fail everywhere, and stops. The failures end although the worker
 * is well.
 *
 * Without another worker there is no experiment, and no worker is ejected.
 */
export class OutlierDetector implements Disposable {
  #deps: OutlierDetectorDeps;
  readonly #counts: FailureCounts;
  readonly #trials = new Map<string, OutlierTrial>();
  /** Until when no worker of a group is suspected; or one worker, where it has proved itself. */
  readonly #acquitted = new Map<string, number>();
  readonly #sweep: Sweep;
  /** In place of a request's hash, which is not negative: no request is at fault where the worker was not reached. */
  #neverReached = 0;

  constructor(deps: OutlierDetectorDeps) {
    this.#deps = deps;
    this.#counts = new FailureCounts({ ...deps, windowMs: deps.settings.windowMs });
    this.#sweep = new Sweep(deps.clock, LOOK_MS, (now) => this.#look(now));
  }

  replace(settings: OutlierSettings): void {
    this.#deps = { ...this.#deps, settings };
    this.#counts.replace(settings.windowMs);
  }

  /**
   * An attempt failed. `source`: hash of its request; undefined where the worker was never reached. `isFault`: the breaker counts it as
   * well, and opens where most attempts end so.
   */
  onFailure(worker: Worker, source: number | undefined, isFault: boolean): void {
    if (this.#deps.settings.failureThreshold === 0) return;
    this.#neverReached -= 1;
    this.#counts.add(worker, source ?? this.#neverReached);
    if (this.#isSuspicious(worker, isFault)) this.#suspect(worker);
  }

  /** Whether other workers fail as often with the same requests, or did so a moment ago. */
  isRequestsDoing(worker: Worker): boolean {
    const best = this.#bestOf(this.#group(worker).filter(({ id }) => id !== worker.id));
    const isAlike = best !== undefined && best > this.#counts.recent(worker).ratio * CLEARLY_BETTER;
    return isAlike || this.#wasAcquitted(worker);
  }

  /** Whether the request has also failed at another worker. */
  failedElsewhere(worker: Worker, source: number): boolean {
    return this.#counts.failedElsewhere(worker, source);
  }

  isSuspected(id: string): boolean {
    return this.#trials.has(id);
  }

  isProving(id: string): boolean {
    return this.#trials.get(id)?.isProving === true;
  }

  /** A probe of a suspected worker failed or was answered. */
  onProof(worker: Worker, isFailed: boolean, source: number | undefined): void {
    const trial = this.#trials.get(worker.id);
    if (!trial?.isProving) return;
    if (isFailed && source !== undefined && this.#counts.failedElsewhere(worker, source)) return;
    trial.noteProbe(isFailed);
    this.#judge(trial, this.#deps.clock.now());
  }

  /** Forgets a worker: it is a new process, or it is left out for another reason. */
  forget(worker: Worker): void {
    this.#trials.delete(worker.id);
    this.#counts.forget(worker);
  }

  [Symbol.dispose](): void {
    this.#sweep[Symbol.dispose]();
    this.#trials.clear();
  }

  #isSuspicious(worker: Worker, isFault: boolean): boolean {
    if (worker.breakerState !== "closed" || this.#trials.has(worker.id) || this.#wasAcquitted(worker)) return false;
    if (this.#counts.sources(worker) < this.#deps.settings.failureThreshold) return false;
    const { ratio } = this.#counts.recent(worker);
    if (ratio < MIN_RATIO) return false;
    const others = this.#group(worker).filter((other) => other.id !== worker.id && this.#isTrusted(other));
    if (ratio < MOST) {
      const all = this.#sumOf(others);
      return all.ended * ratio >= EXPECTED_FAILURES && all.failed <= all.ended * ratio * CLEARLY_BETTER;
    }
    // The breaker judges a worker whose attempts mostly end in faults.
    if (isFault) return false;
    const best = this.#bestOf(others);
    return best === undefined || best <= ratio * CLEARLY_BETTER;
  }

  #suspect(worker: Worker): void {
    const { clock, settings } = this.#deps;
    const ready = this.#group(worker);
    const trusted = ready.filter((one) => this.#isTrusted(one));
    const others = trusted.filter(({ id }) => id !== worker.id);
    const suspected = ready.filter(({ id }) => this.#trials.has(id));
    // Enough other workers must remain to decide who is at fault.
    if (others.length === 0 || suspected.length >= Math.max(1, Math.floor(ready.length / 2))) return;
    if (ready.length - others.length > mostEjected(ready.length, settings.maxShare)) {
      this.#deps.onLimit(worker);
      return;
    }
    const trial = new OutlierTrial({
      worker,
      startedAt: clock.now(),
      own: this.#counts.recent(worker),
      ratioBefore: ratioOf(this.#sumOf(ready)),
      witnesses: new Map(this.#witnesses(others).map((one) => [one.id, this.#counts.now(one)])),
    });
    this.#trials.set(worker.id, trial);
    this.#sweep.wake();
    this.#deps.onSuspected(worker);
  }

  /** The workers that the trial watches: those that do not fail already, unless all do. */
  #witnesses(others: readonly Worker[]): readonly Worker[] {
    const sound = others.filter((one) => this.#counts.recent(one).ratio < MOST);
    return (sound.length > 0 ? sound : others).slice(0, MAX_WITNESSES);
  }

  #look(now: number): boolean {
    for (const trial of this.#trials.values()) {
      if (trial.isProving) {
        this.#judge(trial, now);
        continue;
      }
      const haveEnded = trial.haveEnded(this.#testimony(trial), this.#deps.settings.failureThreshold, now);
      if (haveEnded === false) this.#acquit(trial, groupOf(trial.worker));
      else if (haveEnded) {
        trial.beginProving(now);
        this.#deps.onProving(trial.worker);
      }
    }
    return this.#trials.size > 0;
  }

  #judge(trial: OutlierTrial, now: number): void {
    const isGuilty = trial.verdict(now);
    if (isGuilty === false) this.#acquit(trial, trial.worker.id);
    else if (isGuilty) {
      this.#end(trial);
      this.#deps.onJudged(trial.worker, true);
    }
  }

  #acquit(trial: OutlierTrial, whom: string): void {
    const now = this.#deps.clock.now();
    for (const [other, until] of this.#acquitted) if (until <= now) this.#acquitted.delete(other);
    this.#acquitted.set(whom, now + AFTER_ACQUITTAL_MS);
    this.#end(trial);
    this.#deps.onJudged(trial.worker, false);
  }

  #end({ worker }: OutlierTrial): void {
    this.#trials.delete(worker.id);
    this.#counts.forget(worker);
  }

  /** Counts of the other workers since the beginning of the trial. */
  #testimony({ witnesses }: OutlierTrial): Testimony {
    let [ended, failed, underWay] = [0, 0, 0];
    for (const [id, before] of witnesses) {
      const witness = this.#deps.registry.get(id);
      // A worker that is itself suspected does not count.
      if (!witness || this.#trials.has(id)) continue;
      underWay += witness.requestsInFlight;
      const share = this.#counts.since(witness, before);
      ended += share.ended;
      failed += share.failed;
    }
    return { ended, failed, underWay };
  }

  /** The smallest share of failures among the workers; undefined where none has enough attempts. */
  #bestOf(workers: readonly Worker[]): number | undefined {
    let best: number | undefined;
    for (const worker of workers) {
      const { ended, ratio } = this.#counts.recent(worker);
      if (ended >= MIN_ENDED && (best === undefined || ratio < best)) best = ratio;
    }
    return best;
  }

  #sumOf(workers: readonly Worker[]): Count {
    let [ended, failed] = [0, 0];
    for (const worker of workers) {
      const share = this.#counts.recent(worker);
      ended += share.ended;
      failed += share.failed;
    }
    return { ended, failed };
  }

  #isTrusted({ id, breakerState }: Worker): boolean {
    return breakerState === "closed" && !this.#trials.has(id);
  }

  #wasAcquitted(worker: Worker): boolean {
    const until = Math.max(this.#acquitted.get(groupOf(worker)) ?? 0, this.#acquitted.get(worker.id) ?? 0);
    return this.#deps.clock.now() < until;
  }

  /** Ready workers with the same work, including this one. */
  #group({ modelId, connectionMode, spec }: Worker): readonly Worker[] {
    const { workers } = this.#deps.registry.getWorkersForModel(modelId, connectionMode, spec.workerType);
    return workers.filter(({ status }) => status === "ready");
  }
}

function ratioOf({ ended, failed }: Count): number {
  return ended === 0 ? 0 : failed / ended;
}

/** Workers of one group do the same work. */
export function groupOf({ modelId, connectionMode, spec }: Worker): string {
  return `${connectionMode} ${spec.workerType} ${modelId}`;
}
