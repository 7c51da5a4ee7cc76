import type { Socket, SocketHandler } from "bun";
import type { ServerTls } from "../tls/server-tls.ts";
import { failureOf, type HandshakeFailure } from "./handshake-failure.ts";
import type { SocketUser } from "./socket-user.ts";

/**
 * Looks at an unfinished handshake, two a second, after which it is given up: some 10 s, and it takes two round trips. They are counted in place of
 * the time, so that a process that stood still does not give up the clients whose bytes have come meanwhile.
 */
const HANDSHAKE_LOOKS = 20;
/** Largest share of the places for connections that unfinished handshakes may have. With more, the oldest is closed for the next. */
const HANDSHAKE_SHARE = 0.5;

/** How a handshake ended: `ok`, or why there is no connection. */
export type HandshakeEnd = "ok" | "timeout" | "crowded_out" | "plain_http" | HandshakeFailure;

export interface TlsAcceptorOwner {
  /** Most connections at once; Infinity for no bound. */
  readonly maxOpen: number;
  /** The handshake is over: returns who has the socket from now on. */
  secured(socket: Socket<SocketUser>, address: string | undefined): SocketUser;
  /** A socket from `accept` is gone before it became a connection. */
  dropped(address: string | undefined): void;
  /** Makes the answer to a request without TLS. */
  plainAnswer(): Uint8Array;
  /** `detail`: the words of the TLS library, if it had any. */
  onHandshake(end: HandshakeEnd, detail: string | undefined): void;
}

/**
 * Makes TLS of accepted sockets.
 *
 * ```
 *   accepted -- upgraded with the certificate of now --> handshake -- done --> connection
 *                                                            |
 *                       fails, 10 s, no TLS, no room --> gone
 * ```
 */
export class TlsAcceptor {
  readonly #tls: ServerTls;
  readonly #owner: TlsAcceptorOwner;
  /** In order of arrival. */
  readonly #unfinished = new Set<Handshake>();
  readonly #handlers: SocketHandler<SocketUser> = {
    binaryType: "buffer",
    handshake: (socket, isDone, error) => this.#shaken(socket, isDone, error),
    data: (socket, bytes) => socket.data.received(bytes),
    drain: (socket) => socket.data.drained(),
    end: (socket) => socket.data.ended(),
    close: (socket, error) => socket.data.closed(error),
    error: (socket, error) => socket.data.closed(error),
  };
  /** `serverName` is asked before the certificate is sent, as `node:tls` asks it for its `SNICallback`; Bun's types do not name it. */
  readonly #namingHandlers = {
    ...this.#handlers,
    serverName: (_user: unknown, name: string) => this.#tls.contextFor(name),
  };

  constructor(tls: ServerTls, owner: TlsAcceptorOwner) {
    this.#tls = tls;
    this.#owner = owner;
  }

  /** Handshakes that are not finished. */
  get unfinished(): number {
    return this.#unfinished.size;
  }

  /** Begins the handshake on a socket that was just accepted. */
  accept(raw: Socket<Handshake | undefined>, address: string | undefined): void {
    const handshake = new Handshake(address, (gone) => this.#gone(gone));
    raw.data = handshake;
    const handlers = this.#tls.choosesByName ? this.#namingHandlers : this.#handlers;
    const [, socket] = raw.upgradeTLS<SocketUser>({ tls: this.#tls.options, data: handshake, socket: handlers });
    handshake.socket = socket;
    this.#unfinished.add(handshake);
    const [oldest] = this.#unfinished;
    if (oldest && this.#unfinished.size > this.#owner.maxOpen * HANDSHAKE_SHARE) this.#end(oldest, "crowded_out");
  }

  /** The first bytes of a socket, before the handshake reads them. Later ones are not looked at. */
  look(raw: Socket<Handshake | undefined>, bytes: Buffer): void {
    const handshake = raw.data;
    if (!handshake) return;
    raw.data = undefined;
    const first = bytes[0] ?? 0;
    if (first < LETTER_A || first > LETTER_Z) return;
    // It is a request. The handshake fails now, and closes the socket behind this answer.
    raw.write(this.#owner.plainAnswer());
    handshake.end = "plain_http";
  }

  /** Called about twice a second. Ends the handshakes that take too long. */
  checkTime(): void {
    for (const handshake of this.#unfinished) {
      handshake.looks += 1;
      if (handshake.looks > HANDSHAKE_LOOKS) this.#end(handshake, "timeout");
    }
  }

  /** Ends all handshakes. */
  stop(): void {
    for (const handshake of this.#unfinished) handshake.socket?.terminate();
  }

  #end(handshake: Handshake, end: HandshakeEnd): void {
    handshake.end = end;
    handshake.socket?.terminate();
    // Where the runtime reports the end later, it finds the handshake gone.
    handshake.closed(undefined);
  }

  #shaken(socket: Socket<SocketUser>, isDone: boolean, error: Error | null): void {
    const handshake = socket.data;
    if (!(handshake instanceof Handshake)) return;
    const isAccepted = isDone && (!this.#tls.wantsCertificate || socket.authorized);
    if (isAccepted) {
      if (!this.#unfinished.delete(handshake)) return;
      this.#owner.onHandshake("ok", undefined);
      socket.data = this.#owner.secured(socket, handshake.address);
      return;
    }
    handshake.end ??= failureOf(error);
    handshake.detail = error?.message;
    socket.terminate();
    handshake.closed(undefined);
  }

  #gone(handshake: Handshake): void {
    if (!this.#unfinished.delete(handshake)) return;
    this.#owner.onHandshake(handshake.end ?? "client_left", handshake.detail);
    this.#owner.dropped(handshake.address);
  }
}

/** A socket until its handshake is over. */
export class Handshake implements SocketUser {
  readonly address: string | undefined;
  /** How often it was found unfinished. */
  looks = 0;
  socket: Socket<SocketUser> | undefined;
  /** Why there is no connection, once that is known. */
  end: HandshakeEnd | undefined;
  detail: string | undefined;
  readonly #onGone: (handshake: Handshake) => void;

  constructor(address: string | undefined, onGone: (handshake: Handshake) => void) {
    this.address = address;
    this.#onGone = onGone;
  }

  /** Nothing can be read before the end of the handshake. */
  received(): void {
    this.socket?.terminate();
  }

  drained(): void {
    // Nothing was written.
  }

  /** The client has closed its side, so the handshake cannot end well. */
  ended(): void {
    this.socket?.terminate();
    this.closed(undefined);
  }

  closed(_cause: unknown): void {
    this.#onGone(this);
  }
}

const LETTER_A = 65;
const LETTER_Z = 90;
