import type { FieldReader } from "../../util/header-reader.ts";
import { asGatewayError, clientClosed, GatewayError, tookTooLong, whyLeft } from "../../errors/errors.ts";
import type { PieceTaker, UpstreamRequest, UpstreamResponse } from "../upstream.ts";
import { type BodyFramer, bytesOf } from "./body-framer.ts";
import { PieceQueue, type PieceSource } from "./piece-queue.ts";
import { ReadPace } from "./read-pauses.ts";
import { ResponseParser } from "./response-parser.ts";
import type { PauseMs } from "./read-pauses.ts";
import type { LeaveSignal } from "../../util/leave-signal.ts";

/** Most bytes of an answer that wait for their reader. With more the socket is paused. */
const MAX_BUFFERED_BYTES = 65_536;

/** What an exchange needs of its connection. */
export interface ExchangeConnection extends PieceSource {
  now(): number;
  /** Pauses reads for so long, so that the bytes of that time come as one piece. */
  pauseReads(ms: PauseMs): void;
  /** The exchange is over; `reusable` says whether another request may follow on this connection. */
  release(reusable: boolean): void;
  /** Unasked bytes came behind the answer. */
  outOfStep(): void;
  /** The answer was wrong after all: closes the connection, unless it carries another request already. */
  closeIfIdle(): void;
}

/**
 * One request and its answer on a connection. The connection feeds it bytes; the reader takes them. Ends exactly once:
 * whole, failed, or discarded.
 */
export class Exchange implements UpstreamResponse {
  readonly request: UpstreamRequest;
  readonly head: Promise<UpstreamResponse>;
  readonly #parser: ResponseParser;
  #connection: ExchangeConnection | undefined;
  /** The connection, after the exchange is over. */
  #used: ExchangeConnection | undefined;
  #waiter: PromiseWithResolvers<UpstreamResponse> | undefined;
  /** The taker of pieces, and the function that ends its turn. */
  #taker: PieceTaker | undefined;
  #stopTaking: (() => void) | undefined;
  /** Framer of the body, once the head is whole. Bytes then go straight to it. */
  #framer: BodyFramer | undefined;
  readonly #pieces = new PieceQueue(MAX_BUFFERED_BYTES);
  #hasBytes = false;
  /** Pace of the reads, while a taker follows the body. */
  #pace: ReadPace | undefined;
  /** Bytes have come since the deadlines were checked. */
  #isFresh = false;
  /** When the current wait runs out, on the transport's clock; Infinity if nothing is waited for. */
  #phaseDeadline = Number.POSITIVE_INFINITY;
  readonly #signal: LeaveSignal | undefined;

  constructor(request: UpstreamRequest, signal: LeaveSignal | undefined) {
    this.request = request;
    this.#parser = new ResponseParser(request.method);
    this.#signal = signal;
    this.#waiter = Promise.withResolvers();
    this.head = this.#waiter.promise;
    signal?.addEventListener("abort", this);
  }

  get status(): number {
    return this.#parser.status;
  }

  get headers(): FieldReader {
    return this.#parser.headers;
  }

  get isOver(): boolean {
    return this.#pieces.isOver;
  }

  /** True once a byte of the answer has come. */
  get hasBytes(): boolean {
    return this.#hasBytes;
  }

  /** The head of the answer has come. */
  get isBegun(): boolean {
    return this.#framer !== undefined;
  }

  /** The request is on its way: from now the worker has `firstByteMs`. */
  started(connection: ExchangeConnection, now: number): void {
    this.#connection = connection;
    this.#pieces.source = connection;
    this.#phaseDeadline = now + this.request.timeouts.firstByteMs;
  }

  /** The next piece from the socket; its memory is ours. */
  receive(piece: Buffer): void {
    if (this.isOver) return;
    try {
      const framer = this.#framer;
      if (framer) framer.push(piece);
      else if (!this.#begin(piece)) return;
    } catch (error) {
      this.fail(asGatewayError(error));
      return;
    }
    const framer = this.#framer;
    if (!framer) return;
    this.#isFresh = true;
    if (framer.to > framer.from) this.#offer(framer);
    if (framer.isDone) this.#whole(framer.rest.length > 0);
  }

  #whole(hasMore: boolean): void {
    if (hasMore) this.#connection?.outOfStep();
    this.#finish(this.#parser.keepAlive && !hasMore && this.request.isLast !== true);
  }

  /** Reads the head. Returns true when it is whole; the framer then has the bytes behind it. */
  #begin(piece: Buffer): boolean {
    this.#hasBytes = true;
    this.#framer = this.#parser.push(piece);
    if (!this.#framer) return false;
    this.#takeWaiter()?.resolve(this);
    return true;
  }

  /** The socket ended. `isWord`: the end of the socket may be the end of the answer. */
  closed(isWord: boolean): void {
    if (this.isOver) return;
    if (isWord && this.#parser.end()) this.#finish(false);
    else if (this.#framer) {
      this.fail(new GatewayError("upstream_truncated", "the worker's answer ended before it was whole"));
    } else {
      this.fail(new GatewayError("upstream_closed", "the worker closed the connection before it answered"));
    }
  }

  /** Called several times a second with the time. Ends the exchange if a deadline has passed. */
  checkDeadlines(now: number): void {
    if (this.isOver) return;
    // The silence of a worker that is not read begins when it is read again.
    if (this.#isFresh || this.#pieces.isPaused) {
      this.#isFresh = false;
      this.#phaseDeadline = now + this.request.timeouts.idleMs;
    }
    if (now >= this.request.deadline) {
      this.fail(tookTooLong());
    } else if (now >= this.#phaseDeadline) {
      this.fail(
        this.#framer
          ? new GatewayError("upstream_stalled", "the worker fell silent within its answer")
          : new GatewayError("upstream_timeout", "the worker did not begin to answer in time"),
      );
    }
  }

  fail(error: GatewayError): void {
    if (this.isOver) return;
    this.#pieces.fail(error);
    this.#settle(false);
    this.#takeWaiter()?.reject(error);
    this.#unfollow();
  }

  /** The client has left. */
  handleEvent(): void {
    this.fail(whyLeft(this.#signal?.reason));
  }

  #takeWaiter(): PromiseWithResolvers<UpstreamResponse> | undefined {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    return waiter;
  }

  read(): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    return this.#pieces.read();
  }

  follow(taker: PieceTaker): Promise<void> {
    for (let next = this.#pieces.take(); next; next = this.#pieces.take()) {
      if (!taker.take(next, 0, next.length)) return Promise.resolve();
    }
    if (this.isOver) return Promise.resolve();
    return new Promise((resolve) => {
      this.#taker = taker;
      this.#stopTaking = resolve;
      this.#pace ??= new ReadPace();
    });
  }

  bytes(maxBytes: number): Uint8Array | Promise<Uint8Array> {
    // Nearly every answer that is not streamed comes in one piece, together with its head.
    const only = this.#pieces.isEnded ? this.#pieces.takeOnly(maxBytes) : undefined;
    return only ?? this.#collect(maxBytes);
  }

  async #collect(maxBytes: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    let total = 0;
    for (;;) {
      const next = this.read();
      const piece = next instanceof Promise ? await next : next;
      if (!piece) break;
      pieces.push(piece);
      total += piece.length;
      if (total > maxBytes) {
        this.discard();
        throw new GatewayError("invalid_upstream_response", "the worker's answer is larger than it may be");
      }
    }
    const [only] = pieces;
    return only !== undefined && pieces.length === 1 ? only : Buffer.concat(pieces, total);
  }

  discard(): void {
    this.#pieces.clear();
    if (this.isOver) this.#used?.closeIfIdle();
    else this.fail(clientClosed());
  }

  /** Hands a piece to the taker. Reads a fast stream in larger pieces. */
  #give(taker: PieceTaker, { bytes, from, to, isDone }: BodyFramer): void {
    const connection = this.#connection;
    const now = connection?.now();
    if (!taker.take(bytes, from, to, now)) this.#unfollow();
    else if (connection && now !== undefined && !isDone) {
      const ms = this.#pace?.after(to - from, now);
      if (ms) connection.pauseReads(ms);
    }
  }

  #unfollow(): void {
    const stop = this.#stopTaking;
    this.#taker = undefined;
    this.#stopTaking = undefined;
    stop?.();
  }

  #offer(framer: BodyFramer): void {
    const taker = this.#taker;
    if (taker) this.#give(taker, framer);
    else this.#pieces.offer(bytesOf(framer));
  }

  #finish(isReusable: boolean): void {
    this.#pieces.end();
    this.#settle(isReusable);
    this.#unfollow();
  }

  #settle(isReusable: boolean): void {
    this.#signal?.removeEventListener("abort", this);
    const connection = this.#connection;
    this.#connection = undefined;
    this.#used = connection;
    this.#pieces.letGo();
    connection?.release(isReusable);
  }
}
