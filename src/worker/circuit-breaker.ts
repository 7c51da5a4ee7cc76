import type { Clock } from "../util/clock.ts";

export type BreakerState = "closed" | "open" | "half_open";

/** Why it is open: faults that it counted itself, failures that the other workers do not have, or a credential refused. */
export type BreakerCause = "faults" | "failures" | "credential";

export interface BreakerSettings {
  /** Faults within the window that open it, if they are at least half of what ended there since the first of them. */
  readonly failureThreshold: number;
  /** Probes in a row that must succeed to close it. */
  readonly successThreshold: number;
  /** How long it stays open for faults the first time, ms; doubles each time that it opens again soon. */
  readonly openMs: number;
  /** The same for failures. */
  readonly ejectionMs: number;
  readonly windowMs: number;
  readonly disabled: boolean;
}

/** Opening again doubles the time up to this factor. */
const MAX_OPEN_FACTOR = 16;
/** A share of faults below this is a busy worker with a rare fault, and no reason to leave it out. */
const MIN_FAULT_RATIO = 0.5;
/** A worker that refuses our credential is left alone for this long, ms: only its operator can change that. */
const WITHOUT_CREDENTIAL_MS = 30_000;

interface Fault {
  readonly at: number;
  /** Which request caused it, as a hash: the same request again has the same. */
  readonly source: number;
  /** What the worker had finished when it happened. */
  readonly finished: number;
}

export interface CircuitBreakerDeps {
  readonly settings: BreakerSettings;
  readonly clock: Clock;
  /** Attempts that the worker has ended so far. */
  readonly finished: () => number;
  /** `openMs`: how long it will be open, where it opens. */
  readonly onTransition: (state: BreakerState, openMs: number | undefined) => void;
}

/**
 * Leaves a worker out that keeps failing.
 *
 * ```
 *            faults >= threshold, of several requests, and half of what ended;
 *            or failures that the others do not have, or no credential (`open`)
 *   closed ------------------------------------------------> open
 *     ^                                                        |  time is over
 *     | successThreshold probes answered                       v
 *     +---------------------------------------------------- half_open  (one probe at a time)
 *                                                              |  a probe failed: open again, for longer
 *                                                              +-------> open
 * ```
 *
 * One request that is sent again and again counts for at most half of the threshold: what kills workers is then the
 * request, and whoever sends it must not be able to take the fleet from everybody else.
 */
export class CircuitBreaker {
  readonly #deps: CircuitBreakerDeps;
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

  get state(): BreakerState {
    return this.#state;
  }

  /** What it was last opened for. */
  get cause(): BreakerCause {
    return this.#cause;
  }

  /** A probe was answered. */
  onProbeAnswer(): void {
    if (this.#state !== "half_open") return;
    this.#successes += 1;
    // Of a credential one answer says all.
    if (this.#successes >= this.#deps.settings.successThreshold || this.#cause === "credential") this.reset();
  }

  /** The probe failed: open again, for longer. */
  onProbeFailure(): void {
    if (this.#state === "half_open") this.#open();
  }

  /** `mayOpen`: false where the fault may be the request's doing. What was sent before it was left out tells nothing new. */
  onFault(source: number, mayOpen: () => boolean): void {
    if (this.#deps.settings.disabled || this.#state !== "closed") return;
    this.#remember(source);
    if (!this.#isTooFaulty() || !mayOpen()) return;
    this.#cause = "faults";
    this.#open();
  }

  /** Opens it for what others found out. */
  open(cause: Exclude<BreakerCause, "faults">): void {
    if (this.#deps.settings.disabled || this.#state === "open") return;
    this.#cause = cause;
    this.#open();
  }

  /** Closes it and forgets its faults: the worker has proved itself, or is another one now. */
  reset(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#faults = [];
    if (this.#state !== "closed") this.#closedAt = this.#deps.clock.now();
    this.#become("closed");
  }

  /** No timer outlives it. */
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
    // More than these say nothing new.
    const most = this.#deps.settings.failureThreshold * 4;
    this.#faults = this.#faults.filter(({ at }) => at > oldest).slice(-most);
  }

  #isTooFaulty(): boolean {
    const { failureThreshold } = this.#deps.settings;
    const [first] = this.#faults;
    if (!first || this.#countFaults() < failureThreshold) return false;
    // The attempt that failed first had not ended yet when it was remembered. Both numbers wrap at 32 bits.
    const ended = (this.#deps.finished() - first.finished) | 0;
    return this.#faults.length >= (ended + 1) * MIN_FAULT_RATIO;
  }

  /** Faults within the window, of which one request makes at most half of the threshold. */
  #countFaults(): number {
    const most = Math.max(1, Math.floor(this.#deps.settings.failureThreshold / 2));
    const bySource = new Map<number, number>();
    for (const { source } of this.#faults) bySource.set(source, (bySource.get(source) ?? 0) + 1);
    let count = 0;
    for (const faults of bySource.values()) count += Math.min(faults, most);
    return count;
  }
}
