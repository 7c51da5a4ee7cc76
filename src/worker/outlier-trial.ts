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
 * logarithm: 545 times. Three failures without an answer decide, or four answers where the worker had failed five times of five; of one
 * that failed at a third some fifteen probes.
 */
const EVIDENCE = 6.3;
/** A well worker fails at some requests, this part of what a failing one fails at. */
const WELL_SHARE = 0.1;
/** Standard deviations of the lower bound of a worker's share of failures: it is below the true share with a probability of 84 %. */
const DEVIATIONS = 1;

export interface TrialParts {
  readonly worker: Worker;
  /** The worker's attempts before the trial; at least one failed. */
  readonly own: Count;
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
  readonly #own: Count;
  readonly #ratioBefore: number;
  /** Beginning of the current part of the trial. */
  #startedAt: number;
  #isProving = false;
  #evidence = 0;

  constructor({ worker, own, ratioBefore, witnesses, startedAt }: TrialParts) {
    this.worker = worker;
    this.witnesses = witnesses;
    this.#own = own;
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
    const failing = leastShare(this.#own);
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
    const enough =
      this.#own.failed >= this.#own.ended * MOST ? TRIAL_ANSWERS : Math.ceil(EXPECTED_FAILURES / this.#ratioBefore);
    if (ended >= enough) return haveEnded;
    if (failed >= threshold && !haveEnded) return false;
    if (now - this.#startedAt < TRIAL_MS) return undefined;
    // Long answers in flight have at least not failed.
    return haveEnded && ended + underWay > 0;
  }
}

/**
 * The least share of failures that a worker with these counts is likely to have (Wilson 1927). A worker is suspected at the moment when its
 * counts look worst, so that they tell of more failures than it will have: five of the first six, say, of one that fails at a third. By
 * that share a third would look more like a well worker.
 */
function leastShare({ ended, failed }: Count): number {
  const ratio = failed / ended;
  const square = DEVIATIONS ** 2;
  const spread = DEVIATIONS * Math.sqrt((ratio * (1 - ratio)) / ended + square / (4 * ended ** 2));
  return (ratio + square / (2 * ended) - spread) / (1 + square / ended);
}
