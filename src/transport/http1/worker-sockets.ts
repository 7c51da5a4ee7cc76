import { clientClosed, GatewayError } from "../../errors/errors.ts";
import type { Clock } from "../../util/clock.ts";
import type { Connection, ConnectionOwner } from "./connection.ts";
import type { RestMs, Rests } from "./rests.ts";
import type { LeaveSignal } from "../../util/leave-signal.ts";

/**
 * An idle socket is used again for this long. uvicorn closes idle ones after 5 s, and a request that meets the closing
 * is one of which nobody knows whether it ran.
 */
export const MAX_IDLE_MS = 3000;
/** Idle sockets kept for one worker. */
const MAX_IDLE = 256;

/** What is left for a request whose turn has come: an idle socket, or the place of one that it may open. */
export type Turn = Connection | undefined;

interface Waiting {
  take(turn: Turn): void;
  refuse(error: GatewayError): void;
}

export interface WorkerSocketsOptions {
  readonly clock: Clock;
  /** Sockets at once; Infinity for no bound. */
  readonly maxOpen: number;
  readonly rests: Rests;
  readonly onGone: (connection: Connection) => void;
}

/** The sockets to one worker: those that are idle, and, where there may not be more, the line for the next. */
export class WorkerSockets implements ConnectionOwner {
  readonly hostname: string;
  readonly port: number;
  readonly tls: boolean;
  readonly #options: WorkerSocketsOptions;
  /** Last one first: the warmest, and the others get old enough to be closed. */
  readonly #idle: Connection[] = [];
  /** In order of arrival; one that gave up is taken out at once. */
  readonly #waiting = new Set<Waiting>();
  #open = 0;
  #keepsIdle = true;

  constructor(url: string, options: WorkerSocketsOptions) {
    const parsed = new URL(url);
    this.tls = parsed.protocol === "https:";
    this.hostname = parsed.hostname.replace(/^\[|\]$/g, "");
    this.port = Number(parsed.port) || (this.tls ? 443 : 80);
    this.#options = options;
  }

  now(): number {
    return this.#options.clock.now();
  }

  takeIdle(): Connection | undefined {
    const oldest = this.now() - MAX_IDLE_MS;
    for (;;) {
      const connection = this.#idle.pop();
      if (!connection) return undefined;
      if (connection.idleSince > oldest) return connection;
      connection.close();
    }
  }

  /** The place of a socket, given back when a connection of this owner is gone. False where all are taken. */
  tryTakePlace(): boolean {
    if (this.#open >= this.#options.maxOpen) return false;
    this.takePlace();
    return true;
  }

  /** The same, whether or not there is one. */
  takePlace(): void {
    this.#open += 1;
  }

  /** Waits in line. Throws upstream_connections_full after `limitMs`, client_closed, and what `refuseAll` says. */
  async turn(limitMs: number, signal: LeaveSignal | undefined): Promise<Turn> {
    const { promise, resolve, reject } = Promise.withResolvers<Turn>();
    const waiting: Waiting = { take: resolve, refuse: reject };
    this.#waiting.add(waiting);
    // Out of the line at once: a turn that is given to one that does not wait any more would be lost.
    const giveUp = (error: GatewayError): void => {
      if (this.#waiting.delete(waiting)) reject(error);
    };
    const cancelTimer = this.#options.clock.after(limitMs, () => giveUp(allTaken()));
    const onAbort = (): void => giveUp(clientClosed(signal?.reason));
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
    for (const connection of [...this.#idle]) connection.close();
  }

  idle(connection: Connection): void {
    const next = this.#next();
    if (next) next.take(connection);
    else if (!this.#keepsIdle || this.#idle.length >= MAX_IDLE) connection.close();
    else this.#idle.push(connection);
  }

  rest(connection: Connection, ms: RestMs): void {
    this.#options.rests.add(connection, ms);
  }

  gone(connection: Connection): void {
    const index = this.#idle.indexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
    this.#options.onGone(connection);
    const next = this.#open > this.#options.maxOpen ? undefined : this.#next();
    if (next) next.take(undefined);
    else this.#open -= 1;
  }

  #next(): Waiting | undefined {
    const [first] = this.#waiting;
    if (first) this.#waiting.delete(first);
    return first;
  }
}

function allTaken(): GatewayError {
  return new GatewayError("upstream_connections_full", "all connections to the worker are taken", {
    retryAfterSecs: 1,
  });
}
