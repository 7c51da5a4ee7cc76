import type { Clock } from "../util/clock.ts";

export interface RetryBudgetSettings {
  /** Second attempts that are always allowed, per second. */
  readonly minPerSec: number;
  /** Second attempts that are also allowed, as a share of the requests, 0 to 1. */
  readonly ratio: number;
}

/** Requests and second attempts are counted over this many seconds. */
const WINDOW_SECS = 10;

/**
 * Bounds the second attempts: a share of the requests of the last ten seconds, plus a few a second. Workers that refuse everything
 * then do not get twice as many requests. Source of the numbers: Finagle's and Linkerd's retry
 * budgets (20 %, 10 a second, 10 s).
 */
export class RetryBudget {
  readonly #settings: RetryBudgetSettings;
  readonly #clock: Clock;
  readonly #requests = new Int32Array(WINDOW_SECS);
  readonly #retries = new Int32Array(WINDOW_SECS);
  #second = 0;

  constructor(settings: RetryBudgetSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  /** Counts a request that came at this time of the clock, or a little later where another one has come since. */
  onRequest(now: number): void {
    this.#turn(now);
    this.#count(this.#requests);
  }

  /** Counts one more second attempt and returns true, if the budget has room. */
  tryRetry(): boolean {
    this.#turn(this.#clock.now());
    const { ratio, minPerSec } = this.#settings;
    const allowed = sum(this.#requests) * ratio + minPerSec * WINDOW_SECS;
    if (sum(this.#retries) + 1 > allowed) return false;
    this.#count(this.#retries);
    return true;
  }

  #count(ring: Int32Array): void {
    const at = this.#second % WINDOW_SECS;
    ring[at] = (ring[at] ?? 0) + 1;
  }

  /** Clears the counts of the seconds that have passed since the last call. */
  #turn(now: number): void {
    const latest = Math.floor(now / 1000);
    const from = Math.max(this.#second + 1, latest - WINDOW_SECS + 1);
    for (let second = from; second <= latest; second += 1) {
      this.#requests[second % WINDOW_SECS] = 0;
      this.#retries[second % WINDOW_SECS] = 0;
    }
    this.#second = Math.max(this.#second, latest);
  }
}

function sum(ring: Int32Array): number {
  let total = 0;
  for (const count of ring) total += count;
  return total;
}
