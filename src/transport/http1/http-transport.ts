import type { SocketHandler } from "bun";
import { GatewayError, tookTooLong, whyLeft } from "../../errors/errors.ts";
import { type Clock, systemClock } from "../../util/clock.ts";
import { Sweep, SWEEP_MS } from "../../util/sweep.ts";
import type { Transport, UpstreamRequest, UpstreamResponse } from "../upstream.ts";
import { Connection } from "./connection.ts";
import { Exchange } from "./exchange.ts";
import { ReadPauses } from "./read-pauses.ts";
import { MAX_IDLE_MS, WorkerSockets } from "./worker-sockets.ts";
import { PUBLIC_WORKERS, WorkerTls } from "../tls/worker-tls.ts";
import type { LeaveSignal } from "../../util/leave-signal.ts";
import { LoopTurns } from "../../util/loop-turns.ts";

/** A request on its way to a socket. */
interface Way {
  readonly request: UpstreamRequest;
  readonly sockets: WorkerSockets;
  readonly signal: LeaveSignal | undefined;
  /** How long it waits in line for a socket, on the transport's clock. */
  readonly lineEndsAt: number;
}

/**
 * HTTP/1.1 to workers over `Bun.connect`. Not `fetch`: it says neither when it has connected nor whether a worker can
 * have seen a request, limits the whole process to 256 requests unless the environment says otherwise, and its hop to
 * another thread costs a fifth of the CPU of a streamed token (docs/adr/0002-own-http-client.md).
 */
export class HttpTransport implements Transport, Disposable {
  readonly #clock: Clock;
  readonly #maxPerWorker: number;
  readonly #tls: Pick<WorkerTls, "of">;
  readonly #workers = new Map<string, WorkerSockets>();
  readonly #connections = new Set<Connection>();
  readonly #sweep: Sweep;
  readonly #readPauses: ReadPauses;
  readonly #turns = new LoopTurns();
  #isClosed = false;

  /**
   * `maxPerWorker`: sockets to one worker at once; requests beyond them wait their turn. `tls`: says with which certificates workers are
   * spoken to.
   */
  constructor(
    clock: Clock = systemClock,
    maxPerWorker = Number.POSITIVE_INFINITY,
    tls: Pick<WorkerTls, "of"> = new WorkerTls(PUBLIC_WORKERS, () => undefined),
  ) {
    this.#tls = tls;
    this.#clock = clock;
    this.#maxPerWorker = maxPerWorker;
    this.#sweep = new Sweep(clock, SWEEP_MS, (now) => this.#look(now));
    this.#readPauses = new ReadPauses(clock);
  }

  send(request: UpstreamRequest, signal: LeaveSignal | undefined): Promise<UpstreamResponse> {
    const { now = this.#clock.now() } = request;
    const refusal = this.#refusal(request, signal, now);
    if (refusal) return Promise.reject(refusal);
    const sockets = this.#socketsOf(request.origin);
    const idle = sockets.takeIdle(now);
    if (idle) return start(idle, request, signal, now);
    return this.#sendLater({ request, sockets, signal, lineEndsAt: now + request.timeouts.connectMs });
  }

  async #sendLater(way: Way): Promise<UpstreamResponse> {
    const { request, sockets, signal } = way;
    for (;;) {
      const connection = await this.#reach(way);
      const now = this.#clock.now();
      // Waiting and connecting give other things time to happen: nothing is written before all is asked once more.
      if (this.#isUsable(connection, way, now)) return start(connection, request, signal, now);
      const refusal = this.#refusal(request, signal, now);
      if (refusal) throw refusal;
      const idle = sockets.takeIdle(now);
      if (idle) return start(idle, request, signal, now);
    }
  }

  /** Sockets open to workers now. */
  get openSockets(): number {
    return this.#connections.size;
  }

  /** Every exchange under way ends with this error. */
  failAll(error: GatewayError): void {
    for (const sockets of this.#workers.values()) sockets.refuseAll(error);
    for (const { exchange } of [...this.#connections]) exchange?.fail(error);
  }

  /** Closes idle sockets to a worker that has left, was restarted or is spoken to with other certificates now. */
  forget(origin: string): void {
    this.#workers.get(origin)?.keepNone();
    this.#workers.delete(origin);
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#sweep[Symbol.dispose]();
    this.#readPauses[Symbol.dispose]();
    this.failAll(shuttingDown());
    for (const connection of [...this.#connections]) connection.close();
  }

  #socketsOf(url: string): WorkerSockets {
    let sockets = this.#workers.get(url);
    if (!sockets) {
      sockets = new WorkerSockets(url, {
        clock: this.#clock,
        maxOpen: this.#maxPerWorker,
        readPauses: this.#readPauses,
        turns: this.#turns,
        onGone: (connection) => this.#connections.delete(connection),
      });
      this.#workers.set(url, sockets);
    }
    return sockets;
  }

  /** Why nothing is to be sent for this request, or any; undefined where there is no reason. */
  #refusal({ deadline }: UpstreamRequest, signal: LeaveSignal | undefined, now: number): GatewayError | undefined {
    if (this.#isClosed) return shuttingDown();
    if (signal?.aborted) return whyLeft(signal.reason);
    return now >= deadline ? tookTooLong() : undefined;
  }

  /** A socket that another request is done with, or a new one. */
  async #reach(way: Way): Promise<Connection> {
    const { request, sockets, signal, lineEndsAt } = way;
    let next = sockets.nextReleased();
    if (!next) {
      if (sockets.tryTakePlace()) return this.#connect(way);
      const limitMs = Math.min(lineEndsAt, request.deadline) - this.#clock.now();
      const lateness = request.deadline <= lineEndsAt ? tookTooLong : allTaken;
      next = sockets.waitForSocket(Math.max(0, limitMs), signal, lateness);
    }
    return (await next) ?? this.#connect(way);
  }

  /** Whether the request may still be written there. Throws upstream_connect_failed where the worker closes each new connection. */
  #isUsable(connection: Connection, { request, signal }: Way, now: number): boolean {
    if (this.#refusal(request, signal, now)) {
      connection.close();
      return false;
    }
    if (!connection.isGone) return true;
    if (connection.isReused) return false;
    throw unreachable("the worker closed the connection at once");
  }

  async #connect(way: Way): Promise<Connection> {
    const { request, sockets, signal } = way;
    const tls = sockets.isTls ? this.#tls.of(request.origin) : undefined;
    const connection = new Connection(tls, sockets);
    this.#connections.add(connection);
    this.#sweep.wake();
    const given = Promise.withResolvers<never>();
    const onAbort = (): void => given.reject(whyLeft(signal?.reason));
    signal?.addEventListener("abort", onAbort, { once: true });
    // It may have been in line until now.
    if (signal?.aborted) onAbort();
    // What it is when the time is over: the worker's fault, unless all of the request's time is.
    const leftMs = request.deadline - this.#clock.now();
    const { connectMs } = request.timeouts;
    const cancelTimer = this.#clock.after(Math.min(connectMs, leftMs), () =>
      given.reject(leftMs <= connectMs ? tookTooLong() : notAccepted()),
    );
    const opening = Bun.connect({
      hostname: sockets.hostname,
      port: sockets.port,
      ...(tls ? { tls } : {}),
      socket: HANDLERS,
      data: connection,
    });
    try {
      await Promise.race([opening.then(() => connection.ready), given.promise]);
      return connection;
    } catch (error) {
      connection.close();
      // When it was given up, the socket may still open or fail: `opened` closes it then, and nobody waits.
      opening.catch(() => undefined);
      throw error instanceof GatewayError ? error : unreachable(error);
    } finally {
      cancelTimer();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  #look(now: number): boolean {
    for (const connection of this.#connections) {
      if (connection.exchange) connection.exchange.checkDeadlines(now);
      else if (connection.isIdle && connection.idleSince <= now - MAX_IDLE_MS) connection.close();
    }
    return this.#connections.size > 0;
  }
}

const HANDLERS: SocketHandler<Connection> = {
  binaryType: "buffer",
  open: (socket) => socket.data.opened(socket),
  handshake: (socket, _isDone, error) => socket.data.handshaken(error),
  data: (socket, bytes) => socket.data.received(bytes),
  drain: (socket) => socket.data.drained(),
  end: (socket) => socket.data.ended(),
  close: (socket, error) => (error ? socket.data.broke(error) : socket.data.ended()),
  error: (socket, error) => socket.data.broke(error),
  connectError: () => undefined,
};

function shuttingDown(): GatewayError {
  return new GatewayError("server_shutting_down", "the gateway is shutting down");
}

function unreachable(cause: unknown): GatewayError {
  return new GatewayError("upstream_connect_failed", "the worker could not be reached", { cause });
}

function notAccepted(): GatewayError {
  return new GatewayError("upstream_connect_timeout", "the worker did not accept the connection in time");
}

function allTaken(): GatewayError {
  return new GatewayError("upstream_connections_full", "all connections to the worker are taken", {
    retryAfterSecs: 1,
  });
}

function start(
  connection: Connection,
  request: UpstreamRequest,
  signal: LeaveSignal | undefined,
  now: number,
): Promise<UpstreamResponse> {
  const exchange = new Exchange(request, signal);
  connection.start(exchange, requestHead(request), now);
  return exchange.head;
}

function requestHead(request: UpstreamRequest): string {
  const host = request.origin.slice(request.origin.indexOf("//") + 2);
  const length = request.body ? `content-length: ${request.body.length}\r\n` : "";
  return `${request.method} ${request.path} HTTP/1.1\r\nhost: ${host}\r\n${length}${request.headers}\r\n`;
}
