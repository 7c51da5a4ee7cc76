import type { Socket, TCPSocketListener } from "bun";
import type { GatewayError } from "../../errors/errors.ts";
import { type Clock, systemClock } from "../../util/clock.ts";
import { Sweep } from "../../util/sweep.ts";
import type { ClientRequest, Reply, WholeReply } from "../downstream.ts";
import { ClientConnection, type ClientConnectionOwner } from "./client-connection.ts";
import { type ByteAccount, NO_ACCOUNT } from "./byte-account.ts";
import { Turns } from "./turns.ts";

export interface HttpServerOptions {
  readonly hostname: string;
  /** 0 for any that is free. */
  readonly port: number;
  /** Several processes or threads may listen on the port, and the kernel spreads connections over them. */
  readonly reusePort: boolean;
  /** See `ClientConnectionOwner.idleMs`; Infinity for no bound. */
  readonly idleMs: number;
  /** Returns how many connections may be open. It is asked twice a second, as it follows the process's limit of descriptors. */
  readonly maxConnections?: () => number;
  /** Connections of one address at once; Infinity for no bound. */
  readonly maxPerAddress: number;
  /** Counts the bytes that are held of requests. Without it they are not bounded. */
  readonly account?: ByteAccount;
  readonly clock?: Clock;
  /** Answers a request; never throws or rejects. */
  readonly handle: (request: ClientRequest) => Reply | Promise<Reply>;
  /** Adds to an answer, right before it is written, what all answers have. */
  readonly finish?: (request: ClientRequest, reply: Reply) => void;
  /** Makes the answer to bytes that are not a request, and to an address that has too many connections. */
  readonly refuse: (error: GatewayError) => WholeReply;
  readonly onDefect: (error: unknown) => void;
}

/** How often the connections are checked for what takes too long, ms. */
const LOOK_MS = 500;

/**
 * HTTP/1.1 to clients over `Bun.listen`. Not `Bun.serve`: its streams cost half of the CPU of a token, it takes a client that
 * has closed its side for one that is gone, says nothing where its parser refuses, and does not show connections
 * (docs/adr/0004-own-http-server.md).
 */
export class HttpServer implements ClientConnectionOwner {
  idleMs: number;
  isLeaving = false;
  readonly turns = new Turns();
  readonly account: ByteAccount;
  readonly #options: HttpServerOptions;
  readonly #clock: Clock;
  readonly #listener: TCPSocketListener<ClientConnection>;
  #maxPerAddress: number;
  readonly #connections = new Set<ClientConnection>();
  readonly #perAddress = new Map<string, number>();
  readonly #sweep: Sweep;
  #most: number;

  /** Listens. Throws what Bun throws where the address cannot be had (EADDRINUSE, EACCES), with the port in the message. */
  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.idleMs = options.idleMs;
    this.#maxPerAddress = options.maxPerAddress;
    this.account = options.account ?? NO_ACCOUNT;
    this.#most = options.maxConnections?.() ?? Number.POSITIVE_INFINITY;
    this.#sweep = new Sweep(this.#clock, LOOK_MS, (now) => this.#look(now));
    this.#listener = this.#listen(options);
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#connections.size;
  }

  now(): number {
    return this.#clock.now();
  }

  handle(request: ClientRequest): Reply | Promise<Reply> {
    return this.#options.handle(request);
  }

  finish(request: ClientRequest, reply: Reply): void {
    this.#options.finish?.(request, reply);
  }

  refuse(error: GatewayError): WholeReply {
    return this.#options.refuse(error);
  }

  onDefect(error: unknown): void {
    this.#options.onDefect(error);
  }

  gone(connection: ClientConnection): void {
    this.#connections.delete(connection);
    const { address } = connection;
    if (address === undefined) return;
    const count = this.#perAddress.get(address) ?? 1;
    if (count > 1) this.#perAddress.set(address, count - 1);
    else this.#perAddress.delete(address);
  }

  /**
   * Changes the bounds of connections, of those that are open too. Connections that were opened without a bound for their address are
   * not counted under a new one.
   */
  replace({ idleMs, maxPerAddress }: Pick<HttpServerOptions, "idleMs" | "maxPerAddress">): void {
    this.idleMs = idleMs;
    this.#maxPerAddress = maxPerAddress;
  }

  /** Begins to drain: each answer ends its connection, so that clients connect elsewhere. */
  beginToLeave(): void {
    this.isLeaving = true;
  }

  /** Accepts no connection any more and closes idle ones. Connections with a request go on. */
  stopListening(): void {
    this.#listener.stop(false);
    for (const connection of this.#connections) connection.closeIfIdle();
  }

  /** Closes every connection at once. */
  stop(): void {
    this.#listener.stop(false);
    this.#sweep[Symbol.dispose]();
    for (const connection of this.#connections) connection.close();
  }

  #listen({ hostname, port, reusePort }: HttpServerOptions): TCPSocketListener<ClientConnection> {
    try {
      return Bun.listen<ClientConnection>({
        hostname,
        port,
        // Otherwise a client that has closed its side after its request would look as if it had left.
        allowHalfOpen: true,
        ...(reusePort ? { reusePort } : {}),
        socket: {
          open: (socket) => this.#opened(socket),
          data: (socket, bytes) => socket.data.received(bytes),
          drain: (socket) => socket.data.drained(),
          end: (socket) => socket.data.ended(),
          close: (socket, error) => socket.data.closed(error),
          error: (socket, error) => socket.data.closed(error),
        },
      });
    } catch (error) {
      // Bun's message has the address and not the port.
      if (error instanceof Error) error.message = `port ${port}: ${error.message}`;
      throw error;
    }
  }

  #opened(socket: Socket<ClientConnection>): void {
    const address = this.#maxPerAddress === Number.POSITIVE_INFINITY ? undefined : socket.remoteAddress;
    const connection = new ClientConnection(socket, this, address);
    socket.data = connection;
    this.#connections.add(connection);
    this.#sweep.wake();
    const count = address === undefined ? 0 : (this.#perAddress.get(address) ?? 0) + 1;
    if (address !== undefined) this.#perAddress.set(address, count);
    if (this.#connections.size > this.#most) connection.turnAway();
    else if (count > this.#maxPerAddress) connection.refuseTooMany(this.#maxPerAddress);
  }

  #look(now: number): boolean {
    this.#most = this.#options.maxConnections?.() ?? Number.POSITIVE_INFINITY;
    if (this.#connections.size > this.#most) this.#makeRoom();
    for (const connection of this.#connections) connection.checkTime(now);
    return this.#connections.size > 0;
  }

  /** Closes idle connections, the newest first. */
  #makeRoom(): void {
    for (const connection of [...this.#connections].toReversed()) {
      if (this.#connections.size <= this.#most) return;
      if (connection.isIdle) connection.close();
    }
  }
}
