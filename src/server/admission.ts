import { clientClosed, GatewayError } from "../errors/errors.ts";
import { type Clock, systemClock } from "../util/clock.ts";

export interface AdmissionSettings {
  /** Requests under way at once; Infinity for no bound. */
  readonly maxConcurrent: number;
  /** Requests that may wait for a place. */
  readonly queueSize: number;
  /** Longest wait, ms. */
  readonly queueTimeoutMs: number;
}

/** A place; give it back exactly once, with `release`. */
export interface Permit {
  release(): void;
}

interface Waiting {
  grant(): void;
  refuse(error: unknown): void;
}

/** How many requests may be under way, and an orderly line before it: first come, first served. */
export class Admission {
  readonly #settings: AdmissionSettings;
  readonly #clock: Clock;
  /** In order of arrival; one that gave up is taken out at once, wherever it stands. */
  readonly #line = new Set<Waiting>();
  #admitted = 0;
  /** When the last place became free, and how long places take to become free on average, ms. */
  #lastReleaseAt = 0;
  #releaseIntervalMs = 0;

  constructor(settings: AdmissionSettings, clock: Clock = systemClock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  get admitted(): number {
    return this.#admitted;
  }

  get waiting(): number {
    return this.#line.size;
  }

  /** A place, at once where there is one. Throws queue_full, queue_timeout, and client_closed. */
  acquire(signal: AbortSignal): Permit | Promise<Permit> {
    if (this.#admitted < this.#settings.maxConcurrent) {
      this.#admitted += 1;
      return this.#permit();
    }
    if (this.#line.size >= this.#settings.queueSize) {
      throw new GatewayError("queue_full", "the gateway is at its limit and the queue is full", this.#retryAfter());
    }
    return this.#wait(signal);
  }

  #wait(signal: AbortSignal): Promise<Permit> {
    const { promise, resolve, reject } = Promise.withResolvers<Permit>();
    const waiting: Waiting = { grant: () => resolve(this.#permit()), refuse: reject };
    this.#line.add(waiting);
    const cancelTimer = this.#clock.after(this.#settings.queueTimeoutMs, () => {
      this.#line.delete(waiting);
      reject(new GatewayError("queue_timeout", "the request waited in the queue for too long", this.#retryAfter()));
    });
    const onAbort = (): void => {
      this.#line.delete(waiting);
      reject(clientClosed(signal.reason));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    return promise.finally(() => {
      cancelTimer();
      signal.removeEventListener("abort", onAbort);
    });
  }

  #permit(): Permit {
    let isHeld = true;
    return {
      release: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#release();
      },
    };
  }

  /** The place goes to the first in line, or becomes free. */
  #release(): void {
    const now = this.#clock.now();
    if (this.#lastReleaseAt > 0) {
      const interval = now - this.#lastReleaseAt;
      this.#releaseIntervalMs += (interval - this.#releaseIntervalMs) / 8;
    }
    this.#lastReleaseAt = now;
    const [first] = this.#line;
    if (first) {
      this.#line.delete(first);
      first.grant();
    } else {
      this.#admitted -= 1;
    }
  }

  /** How long the line takes to be served at the pace of late, whole seconds from 1 to 60. */
  #retryAfter(): { retryAfterSecs: number } {
    const secs = Math.ceil((this.#releaseIntervalMs * (this.#line.size + 1)) / 1000);
    return { retryAfterSecs: Math.min(Math.max(secs, 1), 60) };
  }
}
