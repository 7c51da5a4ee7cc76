import type { Count } from "./failure-counts.ts";
import type { Worker } from "./worker.ts";

/** With this share of failed attempts a worker fails at most of what it gets. */
export const MOST = 0.5;
/** Others do clearly better if their share of failures is at most this multiple of the worker's. */
export const CLEARLY_BETTER = 0.5;
/**
 * A worker that fails at a part of what it gets is compared with so many answers of the others that they would have this many failures
 * if they were like it. That they have none by chance has a probability of e^-5, less than 1 in 100.
 */
export const EXPECTED_FAILURES = 5;
/** Answers of the other workers that decide a trial, where the worker failed at most of what it got. */
const TRIAL_ANSWERS = 10;
/** Longest time of each part of a trial, ms. Then the counts so far decide. */
const TRIAL_MS = 30_000;
/**
 * How much likelier what the probes showed must be for a failing worker than for a well one, or the other way round, as a natural
 * logarithm: 545 times. Of a worker that failed at everything three probes decide, of one that failed at a third some fifteen.
 */
const EVIDENCE = 6.3;
/** A failing worker answers some requests, and a well one fails at some. */
const MOST_RATIO = 0.95;
const WELL_SHARE = 0.1;

export interface TrialParts {
  readonly worker: Worker;
  /** Share of the worker's attempts that failed before the trial, 0 to 1. */
  readonly ownRatio: number;
  /** Share of the model's attempts that failed before the trial, 0 to 1. */
  readonly ratioBefore: number;
  /** Workers that the trial watches, with their counts at its beginning. */
  readonly witnesses: ReadonlyMap<string, Count>;
  readonly startedAt: number;
}

/** What the witnesses did since the beginning of a trial. */
export interface Testimony extends Count {
  /** Their requests in flight. */
  readonly underWay: number;
}

/**
 * The trial of one worker: first others get its requests, and then requests probe it. The probes are judged by a sequential test (Wald
 * 1945): each failure and each answer says how much likelier it is from a worker that fails as often as this one did, or from a well one.
 */
export class OutlierTrial {
  readonly worker: Worker;
  readonly witnesses: ReadonlyMap<string, Count>;
  readonly #ownRatio: number;
  readonly #ratioBefore: number;
  /** Beginning of the current part of the trial. */
  #startedAt: number;
  #isProving = false;
  #evidence = 0;

  constructor({ worker, ownRatio, ratioBefore, witnesses, startedAt }: TrialParts) {
    this.worker = worker;
    this.witnesses = witnesses;
    this.#ownRatio = ownRatio;
    this.#ratioBefore = ratioBefore;
    this.#startedAt = startedAt;
  }

  /** The failures ended without the worker, so requests of other clients now probe it. */
  get isProving(): boolean {
    return this.#isProving;
  }

  beginProving(now: number): void {
    this.#isProving = true;
    this.#startedAt = now;
  }

  noteProbe(isFailed: boolean): void {
    const failing = Math.min(MOST_RATIO, this.#ownRatio);
    const well = failing * WELL_SHARE;
    this.#evidence += isFailed ? Math.log(failing / well) : Math.log((1 - failing) / (1 - well));
  }

  /** Whether the worker is at fault, by the probes so far; undefined while that is open. Without a probe it is not, when the time is over. */
  verdict(now: number): boolean | undefined {
    if (Math.abs(this.#evidence) < EVIDENCE && now - this.#startedAt < TRIAL_MS) return undefined;
    return this.#evidence > 0;
  }

  /** Whether the failures ended when the worker was left out; undefined while that is not known. `threshold`: failures that show they did not. */
  haveEnded({ ended, failed, underWay }: Testimony, threshold: number, now: number): boolean | undefined {
    const haveEnded = failed <= ended * this.#ratioBefore * CLEARLY_BETTER;
    const enough = this.#ownRatio >= MOST ? TRIAL_ANSWERS : Math.ceil(EXPECTED_FAILURES / this.#ratioBefore);
    if (ended >= enough) return haveEnded;
    if (failed >= threshold && !haveEnded) return false;
    if (now - this.#startedAt < TRIAL_MS) return undefined;
    // Long answers in flight have at least not failed.
    return haveEnded && ended + underWay > 0;
  }
}
