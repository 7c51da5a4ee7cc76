import { GatewayError, whyLeft } from "../errors/errors.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";

export interface AdmissionSettings {
  /** Requests that may wait for a place of one kind. */
  readonly queueSize: number;
  /** Longest wait, ms. */
  readonly queueTimeoutMs: number;
}

/** Who is served first where places are short. Within one class, first come, first served. */
export const PRIORITIES = ["high", "normal", "low"] as const;
export type Priority = (typeof PRIORITIES)[number];

/** A place that is asked for. */
export interface Claim {
  /** What places are counted for: the gateway, a model. */
  readonly kind: string;
  /** Places of this kind; Infinity for no bound. */
  readonly places: number;
  readonly priority: Priority;
  /** How long the client will wait for its answer, ms; Infinity where it did not say. */
  readonly patienceMs: number;
}

/** A place; give it back exactly once, with `release`. */
export interface Permit {
  release(): void;
}

/** Where places are had: here, or on the thread that counts them for all. */
export interface Admitter {
  /** A place, at once where there is one. Throws queue_full, queue_timeout, client_closed, server_shutting_down. */
  acquire(claim: Claim, signal: LeaveSignal): Permit | Promise<Permit>;
}

interface Waiting {
  grant(): void;
  refuse(error: unknown): void;
}

/** Places of one kind, and the orderly line before them. */
class Line {
  admitted = 0;
  /** By class, in order of arrival; one that gave up is taken out at once, wherever it stands. */
  readonly waiting: Readonly<Record<Priority, Set<Waiting>>> = { high: new Set(), normal: new Set(), low: new Set() };
  /** When the last place became free, and how long that takes on average, ms. */
  #lastReleaseAt = 0;
  #intervalMs = 0;

  get length(): number {
    return this.waiting.high.size + this.waiting.normal.size + this.waiting.low.size;
  }

  /** Those that are served before one that comes now. */
  ahead(priority: Priority): number {
    const classes = PRIORITIES.slice(0, PRIORITIES.indexOf(priority) + 1);
    return classes.reduce((sum, name) => sum + this.waiting[name].size, 0);
  }

  /** How long one that comes now would wait, at the pace of late, ms. */
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

/** How many requests may be under way, of each kind, and who is next. */
export class Admission implements Admitter {
  readonly #settings: AdmissionSettings;
  readonly #clock: Clock;
  readonly #lines = new Map<string, Line>();

  constructor(settings: AdmissionSettings, clock: Clock = systemClock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  /** Places that are taken, of one kind. */
  admitted(kind: string): number {
    return this.#lines.get(kind)?.admitted ?? 0;
  }

  /** Over all kinds. */
  get waiting(): number {
    let sum = 0;
    for (const line of this.#lines.values()) sum += line.length;
    return sum;
  }

  acquire(claim: Claim, signal: LeaveSignal): Permit | Promise<Permit> {
    const line = this.#lineOf(claim.kind);
    if (line.admitted < claim.places) {
      line.admitted += 1;
      return this.#permit(claim.kind, line);
    }
    this.#checkLine(line, claim);
    return this.#wait(line, claim, signal);
  }

  /** Throws what `acquire` would throw now, without waiting. Nothing is taken. */
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

  /** Refuses all who wait. */
  refuseAll(error: GatewayError): void {
    for (const line of this.#lines.values()) for (let next = line.next(); next; next = line.next()) next.refuse(error);
  }

  #wait(line: Line, claim: Claim, signal: LeaveSignal): Promise<Permit> {
    // Who has left already is told of it by nothing any more.
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

  /** The place goes to the first in line, or becomes free. */
  #release(kind: string, line: Line): void {
    line.onRelease(this.#clock.now());
    const next = line.next();
    if (next) {
      next.grant();
      return;
    }
    line.admitted -= 1;
    // Models come and go; their lines are not kept. The pace of the gateway's own is.
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

/** The kind of the places that all requests share. */
export const GATEWAY = "";

/** How long the line takes to be served at the pace of late, whole seconds from 1 to 60. */
function retryAfter(line: Line, { priority }: Claim): { retryAfterSecs: number } {
  const secs = Math.ceil(line.waitMs(priority) / 1000);
  return { retryAfterSecs: Math.min(Math.max(secs, 1), 60) };
}
