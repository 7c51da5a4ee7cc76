import type { Clock } from "../util/clock.ts";
import { Sweep } from "../util/sweep.ts";
import { type Count, FailureCounts } from "./failure-counts.ts";
import type { LoadLedger } from "./load-ledger.ts";
import type { Worker } from "./worker.ts";
import { mostEjected } from "./model-snapshot.ts";
import type { WorkerRegistry } from "./worker-registry.ts";

export interface OutlierSettings {
  /** Different requests that must have failed at a worker for it to be looked at; 0 for never. */
  readonly failureThreshold: number;
  /** Of a model's ready workers at most this share is left out, 0 to 1; one of several may always be. */
  readonly maxShare: number;
  readonly windowMs: number;
}

/** A worker fails where at least this share of its attempts does. */
const MIN_RATIO = 0.5;
/** Others do clearly better where they fail at most this many times as often. */
const CLEARLY_BETTER = 0.5;
/** A worker with fewer attempts than this is not compared with. */
const MIN_ENDED = 2;
/** While there are trials they are looked at this often, ms: each request that a broken worker gets meanwhile fails. */
const LOOK_MS = 10;
/** Of a large fleet so many are watched. */
const MAX_WITNESSES = 256;
/** So many answers of the others decide a trial. */
const TRIAL_ANSWERS = 10;
/** So many of the requests that are to prove a suspected worker must fail for it to be ejected, before as many are answered. */
const PROOFS = 3;
/** How long each part of a trial may last, ms; it is decided then by what there is. */
const TRIAL_MS = 30_000;
/** After an acquittal a worker is not suspected for so long, ms; nor is any of the model where the failures went on at the others. */
const AFTER_ACQUITTAL_MS = 10_000;

interface Trial {
  readonly worker: Worker;
  /** Of the part of the trial that is on. */
  startedAt: number;
  /** The failures ended without it: requests of others prove now whether it works. */
  isProving: boolean;
  failedProofs: number;
  goodProofs: number;
  /** Share of all attempts of the model that failed before it. */
  readonly ratioBefore: number;
  /** Workers that are watched meanwhile, and what they had done when it began. */
  readonly witnesses: ReadonlyMap<string, Count>;
}

export interface OutlierDetectorDeps {
  readonly registry: WorkerRegistry;
  readonly ledger: LoadLedger;
  readonly clock: Clock;
  readonly settings: OutlierSettings;
  /** Others are asked for now. */
  readonly onSuspected: (worker: Worker) => void;
  /** One request at a time may go to it now. */
  readonly onProving: (worker: Worker) => void;
  /** `isGuilty`: the failures ended when it was left out, and it failed the requests that were to prove it. */
  readonly onJudged: (worker: Worker, isGuilty: boolean) => void;
  /** It would be looked at, but too many are left out already. */
  readonly onLimit: (worker: Worker) => void;
}

/**
 * Finds workers that fail where others do not. What fails may be the worker or the request, and one client with requests
 * that fail everywhere must not take the fleet from the others. So a worker is ejected by an experiment:
 *
 * ```
 *            several different requests failed, at least half of all that ended here,
 *            and no other worker is known to fail alike
 *   trusted ------------------------------------------------------> suspected (others are asked meanwhile)
 *     ^                                                               |   |
 *     +--- the failures go on at the others: it was the requests -----+   |
 *     |                                                                   |  they ended
 *     |                                                                   v
 *     +--- three requests are answered first ------------------ to be proved (one request at a time)
 *                                                                         +--- three fail first: ejected
 * ```
 *
 * The proof is for the client that sends a handful of requests which fail everywhere, and stops: the failures end with it.
 *
 * With nobody else to ask there is no experiment, and nobody is ejected.
 */
export class OutlierDetector implements Disposable {
  readonly #deps: OutlierDetectorDeps;
  readonly #counts: FailureCounts;
  readonly #trials = new Map<string, Trial>();
  /** By group, or by worker where it has proved itself: until when nobody of it is suspected. */
  readonly #acquitted = new Map<string, number>();
  readonly #sweep: Sweep;

  constructor(deps: OutlierDetectorDeps) {
    this.#deps = deps;
    this.#counts = new FailureCounts({ ...deps, windowMs: deps.settings.windowMs });
    this.#sweep = new Sweep(deps.clock, LOOK_MS, (now) => this.#look(now));
  }

  /** An attempt failed. `source`: its request, where that may be at fault; what never reached the worker has none. */
  onFailure(worker: Worker, source: number | undefined): void {
    if (this.#deps.settings.failureThreshold === 0) return;
    this.#counts.add(worker, source);
    if (source !== undefined && this.#isSuspicious(worker)) this.#suspect(worker);
  }

  /** Others fail as often with the same requests, or did a moment ago. */
  isRequestsDoing(worker: Worker): boolean {
    const best = this.#bestOf(this.#group(worker).filter(({ id }) => id !== worker.id));
    const isAlike = best !== undefined && best > this.#counts.recent(worker).ratio * CLEARLY_BETTER;
    return isAlike || this.#wasAcquitted(worker);
  }

  /** The request has failed at another worker as well. */
  failedElsewhere(worker: Worker, source: number): boolean {
    return this.#counts.failedElsewhere(worker, source);
  }

  isSuspected(id: string): boolean {
    return this.#trials.has(id);
  }

  isProving(id: string): boolean {
    return this.#trials.get(id)?.isProving === true;
  }

  /** A request that was to prove a suspected worker failed, or was answered. */
  onProof(worker: Worker, isFailed: boolean, source: number | undefined): void {
    const trial = this.#trials.get(worker.id);
    if (!trial?.isProving) return;
    if (!isFailed) {
      trial.goodProofs += 1;
      if (trial.goodProofs >= PROOFS) this.#acquit(trial, worker.id);
    } else if (source === undefined || !this.#counts.failedElsewhere(worker, source)) {
      trial.failedProofs += 1;
      if (trial.failedProofs < PROOFS) return;
      this.#end(trial);
      this.#deps.onJudged(worker, true);
    }
  }

  /** What it did counts no more: it is another one now, or is left out by other means. */
  forget(worker: Worker): void {
    this.#trials.delete(worker.id);
    this.#counts.forget(worker);
  }

  [Symbol.dispose](): void {
    this.#sweep[Symbol.dispose]();
    this.#trials.clear();
  }

  #isSuspicious(worker: Worker): boolean {
    if (worker.breakerState !== "closed" || this.#trials.has(worker.id) || this.#wasAcquitted(worker)) return false;
    if (this.#counts.sources(worker) < this.#deps.settings.failureThreshold) return false;
    const { ratio } = this.#counts.recent(worker);
    if (ratio < MIN_RATIO) return false;
    const others = this.#group(worker).filter((other) => other.id !== worker.id && this.#isTrusted(other));
    const best = this.#bestOf(others);
    return best === undefined || best <= ratio * CLEARLY_BETTER;
  }

  #suspect(worker: Worker): void {
    const { clock, settings } = this.#deps;
    const ready = this.#group(worker);
    const trusted = ready.filter((one) => this.#isTrusted(one));
    const others = trusted.filter(({ id }) => id !== worker.id);
    const suspected = ready.filter(({ id }) => this.#trials.has(id));
    // Those that are to tell whose doing the failures are must not be few.
    if (others.length === 0 || suspected.length >= Math.max(1, Math.floor(ready.length / 2))) return;
    if (ready.length - others.length > mostEjected(ready.length, settings.maxShare)) {
      this.#deps.onLimit(worker);
      return;
    }
    this.#trials.set(worker.id, {
      worker,
      startedAt: clock.now(),
      isProving: false,
      failedProofs: 0,
      goodProofs: 0,
      ratioBefore: this.#ratioOf(ready),
      witnesses: new Map(this.#witnesses(others).map((one) => [one.id, this.#counts.now(one)])),
    });
    this.#sweep.wake();
    this.#deps.onSuspected(worker);
  }

  /** Those that fail already say nothing of where the failures go, unless all do. */
  #witnesses(others: readonly Worker[]): readonly Worker[] {
    const sound = others.filter((one) => this.#counts.recent(one).ratio < MIN_RATIO);
    return (sound.length > 0 ? sound : others).slice(0, MAX_WITNESSES);
  }

  #look(now: number): boolean {
    for (const trial of this.#trials.values()) {
      if (trial.isProving) {
        if (now - trial.startedAt >= TRIAL_MS) this.#acquit(trial, trial.worker.id);
        continue;
      }
      const haveEnded = this.#haveEnded(trial, now);
      if (haveEnded === false) this.#acquit(trial, groupOf(trial.worker));
      else if (haveEnded) {
        trial.isProving = true;
        trial.startedAt = now;
        this.#deps.onProving(trial.worker);
      }
    }
    return this.#trials.size > 0;
  }

  #acquit(trial: Trial, whom: string): void {
    const now = this.#deps.clock.now();
    for (const [other, until] of this.#acquitted) if (until <= now) this.#acquitted.delete(other);
    this.#acquitted.set(whom, now + AFTER_ACQUITTAL_MS);
    this.#end(trial);
    this.#deps.onJudged(trial.worker, false);
  }

  #end({ worker }: Trial): void {
    this.#trials.delete(worker.id);
    this.#counts.forget(worker);
  }

  /** Whether the failures ended when it was left out; undefined where that cannot be told yet. */
  #haveEnded({ ratioBefore, witnesses, startedAt }: Trial, now: number): boolean | undefined {
    // What others did since.
    let [ended, failed, underWay] = [0, 0, 0];
    for (const [id, before] of witnesses) {
      const witness = this.#deps.registry.get(id);
      // One that is suspected as well is no witness any more.
      if (!witness || this.#trials.has(id)) continue;
      underWay += witness.requestsInFlight;
      const share = this.#counts.since(witness, before);
      ended += share.ended;
      failed += share.failed;
    }
    const haveEnded = failed <= ended * ratioBefore * CLEARLY_BETTER;
    if (ended >= TRIAL_ANSWERS) return haveEnded;
    if (failed >= this.#deps.settings.failureThreshold && !haveEnded) return false;
    if (now - startedAt < TRIAL_MS) return undefined;
    // Long answers that are under way have not failed at least.
    return haveEnded && ended + underWay > 0;
  }

  /** The least share of failures that one of them has; undefined where none has done enough to tell. */
  #bestOf(workers: readonly Worker[]): number | undefined {
    let best: number | undefined;
    for (const worker of workers) {
      const { ended, ratio } = this.#counts.recent(worker);
      if (ended >= MIN_ENDED && (best === undefined || ratio < best)) best = ratio;
    }
    return best;
  }

  #ratioOf(workers: readonly Worker[]): number {
    let [ended, failed] = [0, 0];
    for (const worker of workers) {
      const share = this.#counts.recent(worker);
      ended += share.ended;
      failed += share.failed;
    }
    return ended === 0 ? 0 : failed / ended;
  }

  #isTrusted({ id, breakerState }: Worker): boolean {
    return breakerState === "closed" && !this.#trials.has(id);
  }

  #wasAcquitted(worker: Worker): boolean {
    const until = Math.max(this.#acquitted.get(groupOf(worker)) ?? 0, this.#acquitted.get(worker.id) ?? 0);
    return this.#deps.clock.now() < until;
  }

  /** Ready workers that do the same work, this one among them. */
  #group({ modelId, connectionMode, spec }: Worker): readonly Worker[] {
    const { workers } = this.#deps.registry.getWorkersForModel(modelId, connectionMode, spec.workerType);
    return workers.filter(({ status }) => status === "ready");
  }
}

/** Workers of one group do the same work. */
export function groupOf({ modelId, connectionMode, spec }: Worker): string {
  return `${connectionMode} ${spec.workerType} ${modelId}`;
}
