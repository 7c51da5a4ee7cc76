import type { Socket, SocketHandler, TCPSocketListener } from "bun";
import { GatewayError } from "../../errors/errors.ts";
import { type Clock, systemClock } from "../../util/clock.ts";
import { Sweep } from "../../util/sweep.ts";
import type { ClientRequest, Reply, WholeReply } from "../downstream.ts";
import { type PortTls, ServerTls } from "../tls/server-tls.ts";
import { wholeAnswer } from "./answer-bytes.ts";
import { ClientConnection, type ClientConnectionOwner } from "./client-connection.ts";
import { type ByteAccount, NO_ACCOUNT } from "./byte-account.ts";
import { malformed, type RequestHead } from "./request-head.ts";
import type { SocketUser } from "./socket-user.ts";
import { type Handshake, type HandshakeEnd, TlsAcceptor, type TlsAcceptorOwner } from "./tls-acceptor.ts";
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
  /** With it, the port speaks TLS and nothing else. */
  readonly tls?: PortTls | undefined;
  /** Called at the end of each TLS handshake. `detail`: the words of the TLS library, if it had any. */
  readonly onHandshake?: (end: HandshakeEnd, detail: string | undefined) => void;
  readonly clock?: Clock;
  /** See `ClientConnectionOwner.screen`. */
  readonly screen?: ClientConnectionOwner["screen"];
  /** Answers a request; never throws or rejects. */
  readonly handle: (request: ClientRequest) => Reply | Promise<Reply>;
  /** Adds to an answer, right before it is written, what all answers have. */
  readonly finish?: (request: Pick<ClientRequest, "headers">, reply: Reply) => void;
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
export class HttpServer implements ClientConnectionOwner, TlsAcceptorOwner {
  idleMs: number;
  isLeaving = false;
  readonly turns = new Turns();
  readonly account: ByteAccount;
  readonly #options: HttpServerOptions;
  readonly #clock: Clock;
  readonly #listener: Pick<TCPSocketListener, "port" | "stop">;
  readonly #tls: ServerTls | undefined;
  readonly #acceptor: TlsAcceptor | undefined;
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
    this.#tls = options.tls && new ServerTls(options.tls);
    this.#acceptor = this.#tls && new TlsAcceptor(this.#tls, this);
    this.#listener = this.#listen(options);
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Connections that are open, with those whose TLS handshake is not over. */
  get connections(): number {
    return this.#connections.size + this.unfinished;
  }

  /** Connections whose TLS handshake is not over. Their clients have not been able to ask yet. */
  get unfinished(): number {
    return this.#acceptor?.unfinished ?? 0;
  }

  get maxOpen(): number {
    return this.#most;
  }

  now(): number {
    return this.#clock.now();
  }

  recent(): number {
    return this.#clock.recent();
  }

  handle(request: ClientRequest): Reply | Promise<Reply> {
    return this.#options.handle(request);
  }

  screen(head: RequestHead, from: Pick<ClientRequest, "peerAddress">): WholeReply | undefined {
    return this.#options.screen?.(head, from);
  }

  finish(request: Pick<ClientRequest, "headers">, reply: Reply): void {
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
    this.dropped(connection.address);
  }

  dropped(address: string | undefined): void {
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

  secured(socket: Socket<SocketUser>, address: string | undefined): SocketUser {
    const connection = new ClientConnection(socket, this, address);
    this.#connections.add(connection);
    return connection;
  }

  onHandshake(end: HandshakeEnd, detail: string | undefined): void {
    this.#options.onHandshake?.(end, detail);
  }

  plainAnswer(): Uint8Array {
    const reply = this.refuse(
      malformed("this port speaks TLS, and the request came without it; use https:// in the URL"),
    );
    const { bytes, length, after } = wholeAnswer({ method: "GET", isHttp11: true }, reply, reply.body, true);
    return Buffer.concat([bytes.subarray(0, length), after ?? new Uint8Array()]);
  }

  /**
   * The next connections get this certificate, and those that are open go on with theirs. Where the authorities of clients have
   * changed, these end with their answers, and unfinished handshakes at once. On a port without TLS, nothing happens.
   */
  replaceCertificate(next: PortTls | undefined): void {
    if (!next || this.#tls?.replace(next) !== true) return;
    this.#acceptor?.stop();
    for (const connection of this.#connections) connection.endSoon();
  }

  /** Begins to drain: each answer ends its connection, so that clients connect elsewhere. */
  beginToLeave(): void {
    this.isLeaving = true;
  }

  /** Accepts no connection any more and closes idle ones. Connections with a request, and TLS handshakes under way, go on. */
  stopListening(): void {
    this.#listener.stop(false);
    for (const connection of this.#connections) connection.closeIfIdle();
  }

  /** Closes every connection at once. */
  stop(): void {
    this.#listener.stop(false);
    this.#sweep[Symbol.dispose]();
    this.#acceptor?.stop();
    for (const connection of this.#connections) connection.close();
  }

  #listen({ hostname, port, reusePort }: HttpServerOptions): Pick<TCPSocketListener, "port" | "stop"> {
    // Otherwise a client that has closed its side after its request would look as if it had left.
    const address = { hostname, port, allowHalfOpen: true, ...(reusePort ? { reusePort } : {}) };
    const acceptor = this.#acceptor;
    try {
      return acceptor
        ? Bun.listen<Handshake | undefined>({ ...address, socket: this.#handshaking(acceptor) })
        : Bun.listen<ClientConnection>({ ...address, socket: this.#plain() });
    } catch (error) {
      // Bun's message has the address and not the port.
      if (error instanceof Error) error.message = `port ${port}: ${error.message}`;
      throw error;
    }
  }

  #plain(): SocketHandler<ClientConnection> {
    return {
      open: (socket) => this.#opened(socket),
      data: (socket, bytes) => socket.data.received(bytes),
      drain: (socket) => socket.data.drained(),
      end: (socket) => socket.data.ended(),
      close: (socket, error) => socket.data.closed(error),
      error: (socket, error) => socket.data.closed(error),
    };
  }

  /** The socket below the TLS one tells only that it is there, and its first bytes. */
  #handshaking(acceptor: TlsAcceptor): SocketHandler<Handshake | undefined> {
    return {
      open: (raw) => this.#acceptTls(acceptor, raw),
      data: (raw, bytes) => acceptor.look(raw, bytes),
    };
  }

  #opened(socket: Socket<ClientConnection>): void {
    const address = this.#addressOf(socket);
    const connection = new ClientConnection(socket, this, address);
    socket.data = connection;
    this.#connections.add(connection);
    this.#sweep.wake();
    const count = this.#count(address);
    if (this.#connections.size > this.#most) connection.turnAway();
    else if (count > this.#maxPerAddress) connection.refuseTooMany(this.#maxPerAddress);
  }

  /** A client for which there is no place is not told why: that would take a handshake. */
  #acceptTls(acceptor: TlsAcceptor, raw: Socket<Handshake | undefined>): void {
    const address = this.#addressOf(raw);
    const count = this.#count(address);
    const isFull = this.connections >= this.#most;
    if (isFull || count > this.#maxPerAddress) {
      this.refuse(new GatewayError(isFull ? "overloaded" : "too_many_connections", "no place for the connection"));
      this.dropped(address);
      raw.terminate();
      return;
    }
    acceptor.accept(raw, address);
    this.#sweep.wake();
  }

  /** The client's address, where connections are counted by address. */
  #addressOf(socket: Pick<Socket, "remoteAddress">): string | undefined {
    return this.#maxPerAddress === Number.POSITIVE_INFINITY ? undefined : socket.remoteAddress;
  }

  /** Counts one more connection of the address. Returns how many it has. */
  #count(address: string | undefined): number {
    if (address === undefined) return 0;
    const count = (this.#perAddress.get(address) ?? 0) + 1;
    this.#perAddress.set(address, count);
    return count;
  }

  #look(now: number): boolean {
    this.#most = this.#options.maxConnections?.() ?? Number.POSITIVE_INFINITY;
    if (this.connections > this.#most) this.#makeRoom();
    for (const connection of this.#connections) connection.checkTime(now);
    this.#acceptor?.checkTime();
    return this.connections > 0;
  }

  /** Closes idle connections, the newest first. */
  #makeRoom(): void {
    for (const connection of [...this.#connections].toReversed()) {
      if (this.connections <= this.#most) return;
      if (connection.isIdle) connection.close();
    }
  }
}
