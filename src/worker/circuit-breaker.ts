import type { Clock } from "../util/clock.ts";

/** States of a breaker; the drawing is above CircuitBreaker. */
export type BreakerState = "closed" | "open" | "half_open";

/** Why the breaker opened: it counted faults, the worker fails where the others do not, or the worker refused the gateway's credential. */
export type BreakerCause = "faults" | "failures" | "credential";

export interface BreakerSettings {
  /** Faults within the window that open the breaker, if they are at least half of the attempts that ended since the first fault. */
  readonly failureThreshold: number;
  /** Probes in a row that must succeed to close the breaker. */
  readonly successThreshold: number;
  /** How long the breaker stays open for faults the first time, ms. The time doubles each time it opens again soon. */
  readonly openMs: number;
  /** How long it stays open for failures the first time, ms. */
  readonly ejectionMs: number;
  readonly windowMs: number;
  readonly disabled: boolean;
}

/** Largest factor that repeated opening multiplies the time with. */
const MAX_OPEN_FACTOR = 16;
/** Least share of faults that opens the breaker. A busy worker with a rare fault stays in. */
const MIN_FAULT_RATIO = 0.5;
/** How long a worker that refuses the gateway's credential is left out, ms. Only its operator can mend that. */
const WITHOUT_CREDENTIAL_MS = 30_000;

interface Fault {
  readonly at: number;
  /** Hash of the request that caused the fault; a request that is sent again has the same hash. */
  readonly source: number;
  /** Number of attempts that the worker had ended at that time. */
  readonly finished: number;
}

export interface CircuitBreakerDeps {
  readonly settings: BreakerSettings;
  readonly clock: Clock;
  /** Number of attempts that the worker has ended so far. */
  readonly finished: () => number;
  /** `openMs`: how long the breaker stays open; undefined where it does not open. */
  readonly onTransition: (state: BreakerState, openMs: number | undefined) => void;
}

/**
 * Leaves out a worker that keeps failing.
 *
 * ```
 *            faults >= threshold, of several requests, and half of the attempts that ended;
 *            or failures that the others do not have, or a refused credential (`open`)
 *   closed ------------------------------------------------> open
 *     ^                                                        |  time is over
 *     | successThreshold probes answered                       v
 *     +---------------------------------------------------- half_open  (one probe at a time)
 *                                                              |  a probe failed: open again, for longer
 *                                                              +-------> open
 * ```
 *
 * A request that is sent again and again counts for at most half of the threshold. If it kills workers, the request is at
 * fault, and its sender must not be able to take the fleet from the other clients.
 */
export class CircuitBreaker {
  #deps: CircuitBreakerDeps;
  #faults: Fault[] = [];
  #state: BreakerState = "closed";
  #cause: BreakerCause = "faults";
  #openFactor = 1;
  #closedAt = Number.NEGATIVE_INFINITY;
  #successes = 0;
  #cancelTimer: (() => void) | undefined;

  constructor(deps: CircuitBreakerDeps) {
    this.#deps = deps;
  }

  /** Changes the settings. A breaker that is disabled by them closes. */
  replace(settings: BreakerSettings): void {
    this.#deps = { ...this.#deps, settings };
    if (settings.disabled && this.#state !== "closed") this.reset();
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Why the breaker opened the last time. */
  get cause(): BreakerCause {
    return this.#cause;
  }

  /** A probe was answered. */
  onProbeAnswer(): void {
    if (this.#state !== "half_open") return;
    this.#successes += 1;
    // After a refused credential, one answer is enough.
    if (this.#successes >= this.#deps.settings.successThreshold || this.#cause === "credential") this.reset();
  }

  /** The probe failed: open again, for longer. */
  onProbeFailure(): void {
    if (this.#state === "half_open") this.#open();
  }

  /** `mayOpen` returns false where the request may have caused the fault. Faults of an open breaker are ignored: those requests were sent before it opened. */
  onFault(source: number, mayOpen: () => boolean): void {
    if (this.#deps.settings.disabled || this.#state !== "closed") return;
    this.#remember(source);
    if (!this.#isTooFaulty() || !mayOpen()) return;
    this.#cause = "faults";
    this.#open();
  }

  /** Opens the breaker for a reason that other code found. */
  open(cause: Exclude<BreakerCause, "faults">): void {
    if (this.#deps.settings.disabled || this.#state === "open") return;
    this.#cause = cause;
    this.#open();
  }

  /** Closes the breaker and forgets all faults: the worker has proved itself, or is a new process. */
  reset(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#faults = [];
    if (this.#state !== "closed") this.#closedAt = this.#deps.clock.now();
    this.#become("closed");
  }

  /** Cancels its timer. */
  close(): void {
    this.#cancelTimer?.();
  }

  #open(): void {
    const { clock, settings } = this.#deps;
    const isSoon = this.#state === "half_open" || clock.now() - this.#closedAt < settings.windowMs;
    this.#openFactor = isSoon ? Math.min(this.#openFactor * 2, MAX_OPEN_FACTOR) : 1;
    this.#faults = [];
    const openMs = this.#openMs();
    this.#become("open", openMs);
    this.#cancelTimer?.();
    this.#cancelTimer = clock.after(openMs, () => this.#become("half_open"));
  }

  #openMs(): number {
    const { openMs, ejectionMs } = this.#deps.settings;
    if (this.#cause === "credential") return WITHOUT_CREDENTIAL_MS;
    return (this.#cause === "faults" ? openMs : ejectionMs) * this.#openFactor;
  }

  #become(state: BreakerState, openMs?: number): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#successes = 0;
    this.#deps.onTransition(state, openMs);
  }

  #remember(source: number): void {
    const now = this.#deps.clock.now();
    this.#faults.push({ at: now, source, finished: this.#deps.finished() });
    const oldest = now - this.#deps.settings.windowMs;
    // More faults than this add no information.
    const most = this.#deps.settings.failureThreshold * 4;
    this.#faults = this.#faults.filter(({ at }) => at > oldest).slice(-most);
  }

  #isTooFaulty(): boolean {
    const { failureThreshold } = this.#deps.settings;
    const [first] = this.#faults;
    if (!first || this.#countFaults() < failureThreshold) return false;
    // The first failed attempt was recorded before it had ended. Both numbers wrap at 32 bits.
    const ended = (this.#deps.finished() - first.finished) | 0;
    return this.#faults.length >= (ended + 1) * MIN_FAULT_RATIO;
  }

  /** Number of faults within the window; one request counts for at most half of the threshold. */
  #countFaults(): number {
    const most = Math.max(1, Math.floor(this.#deps.settings.failureThreshold / 2));
    const bySource = new Map<number, number>();
    for (const { source } of this.#faults) bySource.set(source, (bySource.get(source) ?? 0) + 1);
    let count = 0;
    for (const faults of bySource.values()) count += Math.min(faults, most);
    return count;
  }
}
