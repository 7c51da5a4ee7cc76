import { asGatewayError, clientClosed, GatewayError } from "../../errors/errors.ts";
import type { UpstreamRequest, UpstreamResponse } from "../upstream.ts";
import { ResponseParser } from "./response-parser.ts";

/** Bytes taken from a worker ahead of the reader; beyond it the socket is paused. */
const MAX_BUFFERED_BYTES = 65_536;

/** What an exchange needs of its connection. */
export interface ExchangeConnection {
  pause(): void;
  resume(): void;
  /** The exchange is over; `reusable` says whether another request may follow on this connection. */
  release(reusable: boolean): void;
  /** What came was wrong after all: no other request on this connection, unless it has one already. */
  closeIfIdle(): void;
}

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
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
  /** The connection that it was on, once it is over. */
  #used: ExchangeConnection | undefined;
  #headWaiter: Waiter<UpstreamResponse> | undefined;
  #reader: Waiter<Uint8Array | undefined> | undefined;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #isPaused = false;
  #isWholeRead = false;
  #failure: GatewayError | undefined;
  #hasBytes = false;
  /** When the phase in which it is runs out, on the transport's clock; Infinity while nothing is waited for. */
  #phaseDeadline = Number.POSITIVE_INFINITY;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;

  constructor(request: UpstreamRequest, signal: AbortSignal | undefined) {
    this.request = request;
    this.#parser = new ResponseParser(request.method);
    this.#signal = signal;
    this.#onAbort = () => this.fail(clientClosed(signal?.reason));
    this.head = new Promise((resolve, reject) => {
      this.#headWaiter = { resolve, reject };
    });
    signal?.addEventListener("abort", this.#onAbort);
  }

  get status(): number {
    return this.#parser.status;
  }

  get headers(): ReadonlyMap<string, string> {
    return this.#parser.headers;
  }

  get isOver(): boolean {
    return this.#isWholeRead || this.#failure !== undefined;
  }

  /** True once a byte of the answer has come. */
  get hasBytes(): boolean {
    return this.#hasBytes;
  }

  /** The request is on its way: from now the worker has `firstByteMs`. */
  started(connection: ExchangeConnection, now: number): void {
    this.#connection = connection;
    this.#phaseDeadline = now + this.request.timeouts.firstByteMs;
  }

  /** The next piece from the socket; its memory is ours. */
  receive(piece: Uint8Array, now: number): void {
    if (this.isOver) return;
    this.#hasBytes = true;
    let body: Uint8Array;
    try {
      body = this.#parser.push(piece);
    } catch (error) {
      this.fail(asGatewayError(error));
      return;
    }
    if (!this.#parser.hasHead) return;
    this.#phaseDeadline = now + this.request.timeouts.idleMs;
    const headWaiter = this.#headWaiter;
    if (headWaiter) {
      this.#headWaiter = undefined;
      headWaiter.resolve(this);
    }
    if (body.length > 0) this.#offer(body);
    if (this.#parser.isDone) this.#finish(this.#parser.keepAlive);
  }

  /** The socket ended. */
  closed(): void {
    if (this.isOver) return;
    if (this.#parser.end()) this.#finish(false);
    else if (this.#parser.hasHead) {
      this.fail(new GatewayError("upstream_truncated", "the worker's answer ended before it was whole"));
    } else {
      this.fail(new GatewayError("upstream_closed", "the worker closed the connection before it answered"));
    }
  }

  /** Called now and then with the time; ends the exchange when a bound has passed. */
  checkDeadlines(now: number): void {
    if (this.isOver) return;
    if (now >= this.request.deadline) {
      this.fail(new GatewayError("upstream_timeout", "the request took longer than it may"));
    } else if (now >= this.#phaseDeadline && !this.#isPaused) {
      this.fail(
        this.#parser.hasHead
          ? new GatewayError("upstream_stalled", "the worker fell silent within its answer")
          : new GatewayError("upstream_timeout", "the worker did not begin to answer in time"),
      );
    }
  }

  fail(error: GatewayError): void {
    if (this.isOver) return;
    this.#failure = error;
    this.#settle(false);
    const headWaiter = this.#headWaiter;
    this.#headWaiter = undefined;
    headWaiter?.reject(this.#failure);
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.reject(this.#failure);
  }

  read(): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    const next = this.#queue.shift();
    if (next) {
      this.#queuedBytes -= next.length;
      if (this.#isPaused && this.#queuedBytes < MAX_BUFFERED_BYTES / 2) {
        this.#isPaused = false;
        this.#connection?.resume();
      }
      return next;
    }
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#isWholeRead) return undefined;
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  async bytes(maxBytes: number): Promise<Uint8Array> {
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
    this.#queue = [];
    this.#queuedBytes = 0;
    if (this.isOver) this.#used?.closeIfIdle();
    else this.fail(clientClosed());
  }

  #offer(body: Uint8Array): void {
    const reader = this.#reader;
    if (reader) {
      this.#reader = undefined;
      reader.resolve(body);
      return;
    }
    this.#queue.push(body);
    this.#queuedBytes += body.length;
    if (!this.#isPaused && this.#queuedBytes > MAX_BUFFERED_BYTES) {
      this.#isPaused = true;
      this.#connection?.pause();
    }
  }

  #finish(isReusable: boolean): void {
    this.#isWholeRead = true;
    this.#settle(isReusable);
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.resolve(undefined);
  }

  #settle(isReusable: boolean): void {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    const connection = this.#connection;
    this.#connection = undefined;
    this.#used = connection;
    if (this.#isPaused) {
      this.#isPaused = false;
      connection?.resume();
    }
    connection?.release(isReusable);
  }
}
