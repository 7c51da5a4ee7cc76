import { GatewayError, whyLeft } from "../errors/errors.ts";
import { PRIORITIES, type Priority } from "../keys/principal.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";

export interface AdmissionSettings {
  /** Most requests that wait for places of one kind. */
  readonly queueSize: number;
  /** Longest wait, ms. */
  readonly queueTimeoutMs: number;
}

/** A request for a place. */
export interface Claim {
  /** The kind of places: the gateway's, or a model's. */
  readonly kind: string;
  /** Number of places of this kind; Infinity for no bound. */
  readonly places: number;
  readonly priority: Priority;
  /** How long the client will wait for its answer, ms; Infinity where it does not say. */
  readonly patienceMs: number;
}

/** A place at the gate. Give it back exactly once, with `release`. */
export interface Permit {
  release(): void;
}

/** Gives places: on this thread, or through the control thread, which counts for all. */
export interface Admitter {
  /** Takes a place, at once where one is free. Throws queue_full, queue_timeout, client_closed, server_shutting_down. */
  acquire(claim: Claim, signal: LeaveSignal): Permit | Promise<Permit>;
}

interface Waiting {
  grant(): void;
  refuse(error: unknown): void;
}

/** The places of one kind, and the line of requests that wait for them. */
class Line {
  admitted = 0;
  /** Number of places, as the last claim said. */
  places = Number.POSITIVE_INFINITY;
  /** Waiting requests by class, in order of arrival. A request that gives up leaves the line at once. */
  readonly waiting: Readonly<Record<Priority, Set<Waiting>>> = { high: new Set(), normal: new Set(), low: new Set() };
  /** Time of the last release, and the average time between releases, ms. */
  #lastReleaseAt = 0;
  #intervalMs = 0;

  get length(): number {
    return this.waiting.high.size + this.waiting.normal.size + this.waiting.low.size;
  }

  /** Number of requests that are served before a new one. */
  ahead(priority: Priority): number {
    const classes = PRIORITIES.slice(0, PRIORITIES.indexOf(priority) + 1);
    return classes.reduce((sum, name) => sum + this.waiting[name].size, 0);
  }

  /** How long a new request would wait at the recent pace, ms. */
  waitMs(priority: Priority): number {
    return this.#intervalMs * (this.ahead(priority) + 1);
  }

  onRelease(now: number): void {
    if (this.#lastReleaseAt > 0) this.#intervalMs += (now - this.#lastReleaseAt - this.#intervalMs) / 8;
    this.#lastReleaseAt = now;
  }

  next(): Waiting | undefined {
    for (const name of PRIORITIES) {
      const [first] = this.waiting[name];
      if (!first) continue;
      this.waiting[name].delete(first);
      return first;
    }
    return undefined;
  }
}

/** Counts the requests in flight of each kind, and serves the lines. */
export class Admission implements Admitter {
  #settings: AdmissionSettings;
  readonly #clock: Clock;
  readonly #lines = new Map<string, Line>();

  constructor(settings: AdmissionSettings, clock: Clock = systemClock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  /** Number of taken places of one kind. */
  admitted(kind: string): number {
    return this.#lines.get(kind)?.admitted ?? 0;
  }

  /** Number of waiting requests of all kinds. */
  get waiting(): number {
    let sum = 0;
    for (const line of this.#lines.values()) sum += line.length;
    return sum;
  }

  /**
   * Changes the bounds. Where there are more places than before, those who wait get them. Where there are fewer, places are not given
   * on until as many are left. Those who wait keep their time.
   */
  replace(settings: AdmissionSettings, placesOf: (kind: string) => number): void {
    this.#settings = settings;
    for (const [kind, line] of this.#lines) {
      line.places = placesOf(kind);
      while (line.admitted < line.places) {
        const next = line.next();
        if (!next) break;
        line.admitted += 1;
        next.grant();
      }
    }
  }

  acquire(claim: Claim, signal: LeaveSignal): Permit | Promise<Permit> {
    const line = this.#lineOf(claim.kind);
    line.places = claim.places;
    if (line.admitted < claim.places) {
      line.admitted += 1;
      return this.#permit(claim.kind, line);
    }
    this.#checkLine(line, claim);
    return this.#wait(line, claim, signal);
  }

  /** Throws what `acquire` would throw now. It does not wait and takes no place. */
  check(claim: Claim): void {
    const line = this.#lines.get(claim.kind);
    if (line && line.admitted >= claim.places) this.#checkLine(line, claim);
  }

  #checkLine(line: Line, claim: Claim): void {
    if (line.length >= this.#settings.queueSize) {
      throw new GatewayError(
        "queue_full",
        "the gateway is at its limit and the queue is full",
        retryAfter(line, claim),
      );
    }
    if (line.waitMs(claim.priority) > claim.patienceMs) {
      const told = "the queue is longer than the client will wait";
      throw new GatewayError("queue_timeout", told, retryAfter(line, claim));
    }
  }

  /** Refuses all waiting requests. */
  refuseAll(error: GatewayError): void {
    for (const line of this.#lines.values()) for (let next = line.next(); next; next = line.next()) next.refuse(error);
  }

  #wait(line: Line, claim: Claim, signal: LeaveSignal): Promise<Permit> {
    // The client has already left, and no event will come for that.
    if (signal.aborted) throw whyLeft(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<Permit>();
    const queue = line.waiting[claim.priority];
    const waiting: Waiting = { grant: () => resolve(this.#permit(claim.kind, line)), refuse: reject };
    queue.add(waiting);
    const cancelTimer = this.#clock.after(Math.min(this.#settings.queueTimeoutMs, claim.patienceMs), () => {
      queue.delete(waiting);
      const told = "the request waited in the queue for too long";
      reject(new GatewayError("queue_timeout", told, retryAfter(line, claim)));
    });
    const onAbort = (): void => {
      queue.delete(waiting);
      reject(whyLeft(signal.reason));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    return promise.finally(() => {
      cancelTimer();
      signal.removeEventListener("abort", onAbort);
    });
  }

  #permit(kind: string, line: Line): Permit {
    let isHeld = true;
    return {
      release: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#release(kind, line);
      },
    };
  }

  /** Gives the place to the first in line, or frees it. */
  #release(kind: string, line: Line): void {
    line.onRelease(this.#clock.now());
    const next = line.admitted > line.places ? undefined : line.next();
    if (next) {
      next.grant();
      return;
    }
    line.admitted -= 1;
    // Lines of models are dropped when they are empty, as models come and go. The gateway's own line stays, with its pace.
    if (line.admitted === 0 && kind !== GATEWAY) this.#lines.delete(kind);
  }

  #lineOf(kind: string): Line {
    let line = this.#lines.get(kind);
    if (!line) {
      line = new Line();
      this.#lines.set(kind, line);
    }
    return line;
  }
}

/** The kind of the gateway's places, which all requests share. */
export const GATEWAY = "";

/** How long the line will take at its recent pace, whole seconds from 1 to 60. */
function retryAfter(line: Line, { priority }: Claim): { retryAfterSecs: number } {
  const secs = Math.ceil(line.waitMs(priority) / 1000);
  return { retryAfterSecs: Math.min(Math.max(secs, 1), 60) };
}
