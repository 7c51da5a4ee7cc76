import { SLOTS } from "../../util/slots.ts";
import { addSample, agedBy, LineFit, weightOf } from "./decayed-sums.ts";
import {
  BATCH_AT,
  BATCH_S,
  BATCH_WORK,
  CHANGES,
  MEASURED,
  POOL,
  SLOWNESS,
  WORKER,
  WORKER_SUMS,
  workerAt,
} from "./shared-layout.ts";

/** First bytes of one worker within this time came from one step of the engine, s. */
const ONE_STEP_S = 0.002;
/** Share of the sums that a sample leaves of the samples before it. */
const KEEP = 0.98;
/** Time after which a sample of a worker counts half, s: a worker that is not used drifts back to the fleet's average and is tried again. */
const HALF_LIFE_S = 60;
/** The fleet's average, at the worker's own pace, counts as this many samples of each worker. */
const POOL_WEIGHT = 3;
/** Until it is known better, a worker has the fleet's pace: that counts as so many samples of its own. */
const PACE_WEIGHT = 1;
/**
 * What is taken for granted of the fleet: so many samples at the usual rates, of which each sample of the fleet leaves this share. One half of
 * them has no work and the other half this much: samples of one length would leave it to short prompts, whose times hardly differ, to say
 * what long ones take. For a fleet that is much faster that is far from true, so it is forgotten sooner than samples are.
 */
const PRIOR_WEIGHT = 2;
const PRIOR_WORK = 4000;
const KEEP_PRIOR = 0.95;
const USUAL_OVERHEAD_S = 0.01;
/** Usual service time of a token, s. */
export const USUAL_TOKEN_S = 1 / 8000;
const MOST_OVERHEAD_S = 0.1;
/** A sample counts at least as this share of what was expected, and at most as so many times that and a little more, s. */
const LEAST_SHARE = 0.2;
const MOST_TIMES = 3;
const MOST_MORE_S = 0.02;
/** Longest time for which fitted rates are used where nothing was measured, s: in that time samples hardly age. */
const FRESH_S = 0.05;

const PRIOR_CELLS = new Float64Array(6);
for (const x of [0, PRIOR_WORK]) {
  addSample(PRIOR_CELLS, 0, { x, y: USUAL_OVERHEAD_S + x * USUAL_TOKEN_S, weight: PRIOR_WEIGHT / 2, now: 0 }, 1);
}

/** Cells of fitted rates: the rates, until when they count, and the number of changes then. */
const OVERHEAD_S = 0;
const TOKEN_S = 1;
const FRESH_UNTIL = 2;
const FITTED_CHANGES = 3;
const FITTED = 4;

/**
 * How fast each worker prefills: a fixed time for each request, and a time for each token of work. Both are learned from the time between
 * first bytes, which is the service time of a request in a queue, so no model of the queue is needed. They contain what decoding costs.
 *
 * A worker's own samples stand beside the fleet's average, which counts as three of them. So a worker that joins is the
 * average at once, and a stall moves little, but a lasting change moves the rates fully within a few samples. The average is taken times
 * the worker's pace: how many times as long as the average says its own samples took. One sample already says that of prompts of all
 * lengths, where the worker's own line takes many. Else a fleet of two generations sends long prompts to the old one for as long.
 *
 * Where no answer is a stream there are no first bytes. Then a worker is as fast as usual, times what its whole answers took
 * (`whole-answers.ts`).
 */
export class ServiceRates {
  readonly #cells: Float64Array;
  readonly #fit = new LineFit();
  /** The fleet's average, and the number of measurements that it is of. */
  readonly #fleet = new LineFit();
  #fleetMeasured = 0;
  /** By slot: its row in `#fitted`, side by side, as a choice reads all of it. */
  readonly #fitted = new Float64Array(SLOTS * FITTED);
  #leader: ServiceRates | undefined;

  constructor(cells: Float64Array) {
    this.#cells = cells;
  }

  /** Takes what the prefill workers of the same model have taught for granted, in place of the usual rates. */
  follow(leader: ServiceRates): void {
    this.#leader = leader;
    this.#fleetMeasured = 0;
  }

  /**
   * Learns from the first bytes of a worker's last step, once it is over. That moves the fleet's average too, so a choice settles all
   * workers that it compares before it asks for the rates of any.
   */
  settle(slot: number, now: number): void {
    const at = workerAt(slot);
    if (this.#isBatchOver(at, now)) this.#flush(slot, at, now);
  }

  /** Makes the rates of a worker those of now; `overheadS` and `tokenS` tell them. */
  refresh(slot: number, now: number): void {
    const at = workerAt(slot);
    const row = slot * FITTED;
    const isSame = this.#fitted[row + FITTED_CHANGES] === this.#changesOf(at);
    if (isSame && now < (this.#fitted[row + FRESH_UNTIL] ?? 0)) return;
    this.#fitAnew(slot, at, now);
  }

  /** Time that a request costs besides its tokens, s. */
  overheadS(slot: number): number {
    return this.#fitted[slot * FITTED + OVERHEAD_S] ?? 0;
  }

  /** Time for each token of work, s. */
  tokenS(slot: number): number {
    return this.#fitted[slot * FITTED + TOKEN_S] ?? 0;
  }

  /**
   * A first byte came: the worker took `serviceS` for this much work. `isCertain` is false where the work is not known well, so that
   * it must not be learned from.
   */
  firstByte(slot: number, work: number, serviceS: number, now: number, isCertain: boolean): void {
    const at = workerAt(slot);
    const cells = this.#cells;
    const isSameStep = now - (cells[at + BATCH_AT] ?? 0) <= ONE_STEP_S && cells[at + BATCH_WORK] !== 0;
    if (!isSameStep) this.#flush(slot, at, now);
    cells[at + BATCH_WORK] = (cells[at + BATCH_WORK] ?? 0) + (isCertain ? work : Number.NaN);
    cells[at + BATCH_S] = (cells[at + BATCH_S] ?? 0) + serviceS;
    cells[at + BATCH_AT] = now;
  }

  /** Forgets a worker: the next one of this slot starts as the fleet's average. */
  forget(slot: number): void {
    const at = workerAt(slot);
    const changes = this.#cells[at + CHANGES] ?? 0;
    this.#cells.fill(0, at, at + WORKER);
    this.#cells[at + CHANGES] = changes + 1;
  }

  /** Changes whenever the sums of the worker or of the fleet do, on any thread. */
  #changesOf(at: number): number {
    return this.#measured + (this.#cells[at + CHANGES] ?? 0);
  }

  /** How often rates were measured, here or where this instance takes them from. */
  get #measured(): number {
    const leader = this.#leader;
    return (this.#cells[MEASURED] ?? 0) + (leader ? leader.#measured : 0);
  }

  #isBatchOver(at: number, now: number): boolean {
    return this.#cells[at + BATCH_WORK] !== 0 && now - (this.#cells[at + BATCH_AT] ?? 0) > ONE_STEP_S;
  }

  /** Takes the first bytes of the last step into the sums. */
  #flush(slot: number, at: number, now: number): void {
    const cells = this.#cells;
    const work = cells[at + BATCH_WORK] ?? 0;
    const serviceS = cells[at + BATCH_S] ?? 0;
    cells[at + BATCH_WORK] = 0;
    cells[at + BATCH_S] = 0;
    // Not a number: one of them must not be learned from.
    if (!(work > 0)) return;
    this.#fitAnew(slot, at, now);
    const expectedS = this.overheadS(slot) + this.tokenS(slot) * work;
    const y = Math.min(Math.max(serviceS, LEAST_SHARE * expectedS), MOST_TIMES * expectedS + MOST_MORE_S);
    const sample = { x: work, y, weight: 1, now };
    addSample(cells, at + WORKER_SUMS, sample, KEEP * agedBy(cells, at + WORKER_SUMS, now, HALF_LIFE_S));
    addSample(cells, POOL, sample, KEEP);
    cells[MEASURED] = (cells[MEASURED] ?? 0) + 1;
    cells[at + CHANGES] = (cells[at + CHANGES] ?? 0) + 1;
  }

  #fitAnew(slot: number, at: number, now: number): void {
    const cells = this.#cells;
    const fitted = this.#fitted;
    const row = slot * FITTED;
    fitted[row + FITTED_CHANGES] = this.#changesOf(at);
    fitted[row + FRESH_UNTIL] = now + FRESH_S;
    if (this.#measured === 0) {
      fitted[row + OVERHEAD_S] = USUAL_OVERHEAD_S;
      fitted[row + TOKEN_S] = USUAL_TOKEN_S * (cells[at + SLOWNESS] || 1);
      return;
    }
    const fleet = this.#average();
    const own = agedBy(cells, at + WORKER_SUMS, now, HALF_LIFE_S);
    const pace = fleet.timesOf(cells, at + WORKER_SUMS, own, PACE_WEIGHT);
    this.#fit
      .clear()
      .addLine(fleet, POOL_WEIGHT, pace)
      .add(cells, at + WORKER_SUMS, own);
    this.#fit.fit(USUAL_OVERHEAD_S, 0, MOST_OVERHEAD_S);
    fitted[row + OVERHEAD_S] = this.#fit.intercept;
    fitted[row + TOKEN_S] = this.#fit.slope;
  }

  /** The fleet's average, with what is taken for granted. */
  #average(): LineFit {
    const cells = this.#cells;
    const fleet = this.#fleet;
    if (this.#fleetMeasured === this.#measured) return fleet;
    this.#fleetMeasured = this.#measured;
    fleet.clear().add(cells, POOL, 1);
    this.#addGranted(fleet, KEEP_PRIOR ** (cells[MEASURED] ?? 0));
    fleet.fit(USUAL_OVERHEAD_S, 0, MOST_OVERHEAD_S);
    return fleet;
  }

  /** Adds what is taken for granted of the fleet, times `share`. */
  #addGranted(fit: LineFit, share: number): void {
    const leader = this.#leader;
    if (!leader || leader.#measured === 0) {
      fit.add(PRIOR_CELLS, 0, share);
      return;
    }
    const weight = (share * PRIOR_WEIGHT) / (weightOf(leader.#cells, POOL) + PRIOR_WEIGHT);
    fit.add(leader.#cells, POOL, weight).add(PRIOR_CELLS, 0, weight);
  }
}
