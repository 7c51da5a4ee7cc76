import type { Clock } from "../util/clock.ts";

export type BreakerState = "closed" | "open" | "half_open";

export interface BreakerSettings {
  /** Faults within the window that open it, if they are at least half of what was seen there. */
  readonly failureThreshold: number;
  /** Probes in a row that must succeed to close it. */
  readonly successThreshold: number;
  /** How long it stays open the first time, ms; doubles each time that it opens again before it has closed. */
  readonly openMs: number;
  readonly windowMs: number;
  readonly disabled: boolean;
}

/** The window is a ring of this many buckets, so what it holds is old by at most its length and a tenth. */
const BUCKETS = 10;
/** Opening again doubles the time up to this factor. */
const MAX_OPEN_FACTOR = 16;
/** A share of faults below this is a busy worker with a rare fault, and no reason to leave it out. */
const MIN_FAULT_RATIO = 0.5;

interface Bucket {
  epoch: number;
  faults: number;
  seen: number;
}

/**
 * Leaves a worker out that keeps failing.
 *
 * ```
 *            faults >= threshold, and half of what was seen
 *   closed ------------------------------------------------> open
 *     ^                                                        |  time is over
 *     | successThreshold probes answered                       v
 *     +---------------------------------------------------- half_open  (one probe at a time)
 *                                                              |  a probe failed: open again, for longer
 *                                                              +-------> open
 * ```
 */
export class CircuitBreaker {
  readonly #settings: BreakerSettings;
  readonly #clock: Clock;
  readonly #buckets: Bucket[] = Array.from({ length: BUCKETS }, () => ({ epoch: -1, faults: 0, seen: 0 }));
  #state: BreakerState = "closed";
  #openFactor = 1;
  #successes = 0;
  #isProbing = false;
  #cancelTimer: (() => void) | undefined;
  #listener: ((state: BreakerState) => void) | undefined;

  constructor(settings: BreakerSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** The registry listens, and publishes the worker as one that can or cannot be chosen. */
  onTransition(listener: (state: BreakerState) => void): void {
    this.#listener = listener;
  }

  onSuccess(): void {
    if (this.#settings.disabled) return;
    if (this.#state === "half_open") {
      this.#isProbing = false;
      this.#successes += 1;
      if (this.#successes >= this.#settings.successThreshold) this.reset();
    } else if (this.#state === "closed") {
      this.#bucket().seen += 1;
    }
  }

  onFault(): void {
    if (this.#settings.disabled) return;
    if (this.#state === "half_open") {
      this.#openFactor = Math.min(this.#openFactor * 2, MAX_OPEN_FACTOR);
      this.#open();
    } else if (this.#state === "closed") {
      const bucket = this.#bucket();
      bucket.seen += 1;
      bucket.faults += 1;
      if (this.#isTooFaulty()) this.#open();
    }
  }

  /** True for the one caller that may send a request while it is half-open. */
  tryAcquireProbe(): boolean {
    if (this.#state !== "half_open" || this.#isProbing) return false;
    this.#isProbing = true;
    return true;
  }

  /** The probe ended without telling anything of the worker. */
  releaseProbe(): void {
    this.#isProbing = false;
  }

  /** Closes it and forgets: the worker has proved itself, or is another one now. */
  reset(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#openFactor = 1;
    for (const bucket of this.#buckets) bucket.epoch = -1;
    this.#become("closed");
  }

  /** No timer outlives it. */
  close(): void {
    this.#cancelTimer?.();
    this.#listener = undefined;
  }

  #open(): void {
    this.#become("open");
    this.#cancelTimer?.();
    this.#cancelTimer = this.#clock.after(this.#settings.openMs * this.#openFactor, () => this.#become("half_open"));
  }

  #become(state: BreakerState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#successes = 0;
    this.#isProbing = false;
    this.#listener?.(state);
  }

  #bucket(): Bucket {
    const epoch = this.#epoch();
    const bucket = this.#buckets[epoch % BUCKETS] ?? { epoch, faults: 0, seen: 0 };
    if (bucket.epoch !== epoch) {
      bucket.epoch = epoch;
      bucket.faults = 0;
      bucket.seen = 0;
    }
    return bucket;
  }

  #isTooFaulty(): boolean {
    const oldest = this.#epoch() - BUCKETS;
    let faults = 0;
    let seen = 0;
    for (const bucket of this.#buckets) {
      if (bucket.epoch <= oldest) continue;
      faults += bucket.faults;
      seen += bucket.seen;
    }
    return faults >= this.#settings.failureThreshold && faults >= seen * MIN_FAULT_RATIO;
  }

  #epoch(): number {
    return Math.floor(this.#clock.now() / (this.#settings.windowMs / BUCKETS));
  }
}
