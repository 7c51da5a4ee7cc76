import type { SocketHandler } from "bun";
import { clientClosed, GatewayError } from "../../errors/errors.ts";
import { type Clock, systemClock } from "../../util/clock.ts";
import type { Transport, UpstreamRequest, UpstreamResponse } from "../upstream.ts";
import { Connection, type ConnectionOwner } from "./connection.ts";
import { Exchange } from "./exchange.ts";

/**
 * An idle socket is used again for this long. uvicorn closes idle ones after 5 s, and a request that meets the closing
 * is one of which nobody knows whether it ran.
 */
const MAX_IDLE_MS = 3000;
/** Idle sockets kept for one worker. */
const MAX_IDLE_PER_WORKER = 256;
/** How often bounds on time are looked at; they hold to within this. */
const SWEEP_MS = 100;

interface Origin {
  readonly hostname: string;
  readonly port: number;
  readonly tls: boolean;
  /** Last one first: the warmest, and the others get old enough to be closed. */
  readonly idle: Connection[];
}

/**
 * HTTP/1.1 to workers over `Bun.connect`. Not `fetch`: it says neither when it has connected nor whether a worker can
 * have seen a request, limits the whole process to 256 requests unless the environment says otherwise, and its hop to
 * another thread costs a fifth of the CPU of a streamed token (docs/adr/0002-own-http-client.md).
 */
export class HttpTransport implements Transport, ConnectionOwner, Disposable {
  readonly #clock: Clock;
  readonly #origins = new Map<string, Origin>();
  readonly #connections = new Set<Connection>();
  #cancelSweep: (() => void) | undefined;
  #isClosed = false;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  async send(request: UpstreamRequest, signal: AbortSignal | undefined): Promise<UpstreamResponse> {
    if (this.#isClosed) throw new GatewayError("server_shutting_down", "the gateway is shutting down");
    if (signal?.aborted) throw clientClosed(signal.reason);
    if (this.#clock.now() >= request.deadline) {
      throw new GatewayError("upstream_timeout", "the request took longer than it may");
    }
    const origin = this.#originOf(request.origin);
    const reused = this.#takeIdle(origin);
    const connection = reused ?? (await this.#connect(request, origin, signal));
    // Connecting gives other things time to happen.
    if (signal?.aborted) {
      connection.close();
      throw clientClosed(signal.reason);
    }
    const exchange = new Exchange(request, signal);
    connection.start(exchange, requestHead(request));
    return exchange.head;
  }

  /** Sockets open to workers now. */
  get openSockets(): number {
    return this.#connections.size;
  }

  /** Every exchange under way ends with this error. */
  failAll(error: GatewayError): void {
    for (const { exchange } of [...this.#connections]) exchange?.fail(error);
  }

  /** Closes idle sockets to a worker that has left or was restarted. */
  forget(origin: string): void {
    const known = this.#origins.get(origin);
    this.#origins.delete(origin);
    for (const connection of known?.idle ?? []) connection.close();
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#cancelSweep?.();
    for (const connection of this.#connections) connection.close();
  }

  idle(connection: Connection): void {
    const origin = this.#origins.get(connection.origin);
    if (!origin || this.#isClosed || origin.idle.length >= MAX_IDLE_PER_WORKER) connection.close();
    else origin.idle.push(connection);
  }

  gone(connection: Connection): void {
    this.#connections.delete(connection);
    const idle = this.#origins.get(connection.origin)?.idle;
    const index = idle ? idle.indexOf(connection) : -1;
    if (index >= 0) idle?.splice(index, 1);
  }

  #originOf(url: string): Origin {
    const known = this.#origins.get(url);
    if (known) return known;
    const parsed = new URL(url);
    const tls = parsed.protocol === "https:";
    const hostname = parsed.hostname.replace(/^\[|\]$/g, "");
    const origin = { hostname, port: Number(parsed.port) || (tls ? 443 : 80), tls, idle: [] };
    this.#origins.set(url, origin);
    return origin;
  }

  #takeIdle(origin: Origin): Connection | undefined {
    const oldest = this.#clock.now() - MAX_IDLE_MS;
    for (;;) {
      const connection = origin.idle.pop();
      if (!connection) return undefined;
      if (connection.idleSince > oldest) return connection;
      connection.close();
    }
  }

  async #connect(request: UpstreamRequest, origin: Origin, signal: AbortSignal | undefined): Promise<Connection> {
    const connection = new Connection(request.origin, origin.tls, this);
    this.#connections.add(connection);
    this.#scheduleSweep();
    const given = Promise.withResolvers<never>();
    const onAbort = (): void => given.reject(clientClosed(signal?.reason));
    signal?.addEventListener("abort", onAbort, { once: true });
    const limitMs = Math.min(request.timeouts.connectMs, request.deadline - this.#clock.now());
    const cancelTimer = this.#clock.after(limitMs, () =>
      given.reject(new GatewayError("upstream_connect_timeout", "the worker did not accept the connection in time")),
    );
    const opening = Bun.connect({
      hostname: origin.hostname,
      port: origin.port,
      tls: origin.tls,
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
      throw error instanceof GatewayError
        ? error
        : new GatewayError("upstream_connect_failed", "the worker could not be reached", { cause: error });
    } finally {
      cancelTimer();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** One timer for all sockets, running only while there are any. */
  #scheduleSweep(): void {
    this.#cancelSweep ??= this.#clock.after(SWEEP_MS, () => {
      this.#cancelSweep = undefined;
      this.#sweep();
    });
  }

  #sweep(): void {
    const now = this.#clock.now();
    for (const connection of this.#connections) {
      if (connection.exchange) connection.exchange.checkDeadlines(now);
      else if (connection.isIdle && connection.idleSince <= now - MAX_IDLE_MS) connection.close();
    }
    if (this.#connections.size > 0) this.#scheduleSweep();
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

function requestHead(request: UpstreamRequest): string {
  const host = request.origin.slice(request.origin.indexOf("//") + 2);
  const length = request.body ? `content-length: ${request.body.length}\r\n` : "";
  return `${request.method} ${request.path} HTTP/1.1\r\nhost: ${host}\r\n${length}${request.headers}\r\n`;
}
