import { type GatewayError, whyLeft } from "../../errors/errors.ts";
import type { Clock } from "../../util/clock.ts";
import type { Connection, WorkerConnectionOwner } from "./connection.ts";
import type { PauseMs, ReadPauses } from "./read-pauses.ts";
import type { LeaveSignal } from "../../util/leave-signal.ts";
import type { LoopTurns, Turning } from "../../util/loop-turns.ts";

/**
 * An idle socket is used again for this long. uvicorn closes idle ones after 5 s, and a request that meets the closing
 * may or may not have run.
 */
export const MAX_IDLE_MS = 3000;
/**
 * After unasked bytes of a worker each of its sockets carries one request, for so long, ms: its next extra answer may come too late
 * to be seen before the socket is used again.
 */
const DISTRUST_MS = 60_000;
/**
 * With more sockets than this a worker gets another one rather than that a request waits for one to be looked at: under load each request
 * would wait, which takes more CPU (4 µs of a small request, Bun 1.4.5, 2026-11-26) than a few more sockets that are kept.
 */
const FEW_SOCKETS = 8;
/** Idle sockets kept for one worker. */
const MAX_IDLE = 256;

/** What a request in line gets: an idle socket, or undefined, which is the right to open one. */
export type FreeSocket = Connection | undefined;

interface Waiting {
  take(turn: FreeSocket): void;
  refuse(error: GatewayError): void;
}

export interface WorkerSocketsOptions {
  readonly clock: Clock;
  /** Sockets at once; Infinity for no bound. */
  readonly maxOpen: number;
  readonly readPauses: ReadPauses;
  readonly turns: LoopTurns;
  readonly onGone: (connection: Connection) => void;
}

/**
 * The sockets to one worker: those that are idle, and, where there may not be more, the line for the next.
 *
 * A socket whose answer has ended is not used at once. HTTP/1.1 has no ids, so a second answer that nobody asked for would be taken
 * for that of the next request. The socket waits until the event loop has looked at it once more; what has come by then closes it.
 *
 * ```
 *   answer ended -> fresh -- turn --> looked at -- turn --> the first in line, or idle
 *                     |                   |                        |
 *                     +--- bytes come ----+------------------------+--> closed
 * ```
 */
export class WorkerSockets implements WorkerConnectionOwner, Turning {
  readonly hostname: string;
  readonly port: number;
  readonly isTls: boolean;
  readonly #options: WorkerSocketsOptions;
  /** The longest idle comes first: a late answer has had the most time to show on it. */
  readonly #idle: Connection[] = [];
  /** Their answers have ended since the last turn of the loop. */
  #fresh: Connection[] = [];
  /** Their answers ended in the turn before. The loop looks at them in this one. */
  #lookedAt: Connection[] = [];
  /** In order of arrival. A request that gives up is taken out at once. */
  readonly #waiting = new Set<Waiting>();
  #open = 0;
  #keepsIdle = true;
  /** Sockets that become idle before that are closed. */
  #trustedFrom = 0;

  constructor(url: string, options: WorkerSocketsOptions) {
    const parsed = new URL(url);
    this.isTls = parsed.protocol === "https:";
    this.hostname = parsed.hostname.replace(/^\[|\]$/g, "");
    const schemePort = this.isTls ? 443 : 80;
    this.port = parsed.port === "" ? schemePort : Number(parsed.port);
    this.#options = options;
  }

  now(): number {
    return this.#options.clock.now();
  }

  recent(): number {
    return this.#options.clock.recent();
  }

  takeIdle(now = this.now()): Connection | undefined {
    const oldest = now - MAX_IDLE_MS;
    for (let first = this.#idle[0]; first; first = this.#idle[0]) {
      if (first.idleSince > oldest) return this.#idle.shift();
      first.close();
    }
    return undefined;
  }

  /** The place of a socket, given back when a connection of this owner is gone. False where all are taken. */
  tryTakePlace(): boolean {
    if (this.#open >= this.#options.maxOpen) return false;
    this.#open += 1;
    return true;
  }

  /**
   * The next socket whose answer has ended, where there are more of them than requests that wait for one: it comes within two turns of
   * the loop, which is sooner than a new one could be opened. Undefined where there are none, or many sockets.
   */
  nextReleased(): Promise<FreeSocket> | undefined {
    if (this.#open > FEW_SOCKETS && this.#open < this.#options.maxOpen) return undefined;
    if (this.#waiting.size >= this.#fresh.length + this.#lookedAt.length) return undefined;
    return new Promise((take, refuse) => this.#waiting.add({ take, refuse }));
  }

  /** Waits in line. Throws what `lateness` makes after `limitMs`, client_closed, and what `refuseAll` says. */
  async waitForSocket(
    limitMs: number,
    signal: LeaveSignal | undefined,
    lateness: () => GatewayError,
  ): Promise<FreeSocket> {
    const { promise, resolve, reject } = Promise.withResolvers<FreeSocket>();
    const waiting: Waiting = { take: resolve, refuse: reject };
    this.#waiting.add(waiting);
    // It leaves the line at once: a socket that is given to a request that has given up would be lost.
    const giveUp = (error: GatewayError): void => {
      if (this.#waiting.delete(waiting)) reject(error);
    };
    const cancelTimer = this.#options.clock.after(limitMs, () => giveUp(lateness()));
    const onAbort = (): void => giveUp(whyLeft(signal?.reason));
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await promise;
    } finally {
      cancelTimer();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Refuses all who wait. */
  refuseAll(error: GatewayError): void {
    for (const waiting of this.#waiting) waiting.refuse(error);
    this.#waiting.clear();
  }

  /** Closes the idle ones, and each other when it becomes idle. */
  keepNone(): void {
    this.#keepsIdle = false;
    this.#closeIdle();
  }

  outOfStep(): void {
    this.#trustedFrom = this.now() + DISTRUST_MS;
    this.#closeIdle();
  }

  idle(connection: Connection): void {
    if (!this.#keepsIdle || connection.idleSince < this.#trustedFrom) {
      connection.close();
      return;
    }
    this.#fresh.push(connection);
    this.#options.turns.add(this);
  }

  turned(): boolean {
    const rested = this.#lookedAt;
    this.#lookedAt = this.#fresh;
    this.#fresh = [];
    for (const connection of rested) this.#pass(connection);
    return this.#lookedAt.length > 0;
  }

  pauseReads(connection: Connection, ms: PauseMs): void {
    this.#options.readPauses.add(connection, ms);
  }

  gone(connection: Connection): void {
    for (const list of [this.#idle, this.#fresh, this.#lookedAt]) {
      const index = list.indexOf(connection);
      if (index >= 0) list.splice(index, 1);
    }
    this.#options.onGone(connection);
    const next = this.#next();
    if (next) next.take(undefined);
    else this.#open -= 1;
  }

  #closeIdle(): void {
    for (const connection of [...this.#idle, ...this.#fresh, ...this.#lookedAt]) connection.close();
  }

  /** Gives the socket to the first request in line, or keeps it idle. */
  #pass(connection: Connection): void {
    const next = this.#next();
    if (next) next.take(connection);
    else if (this.#idle.length >= MAX_IDLE) connection.close();
    else this.#idle.push(connection);
  }

  #next(): Waiting | undefined {
    const [first] = this.#waiting;
    if (first) this.#waiting.delete(first);
    return first;
  }
}
