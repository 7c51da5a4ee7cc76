import type { ClientHttp2Stream, IncomingHttpHeaders, IncomingHttpStatusHeader } from "node:http2";
import { asGatewayError, clientClosed, GatewayError, tookTooLong, whyLeft } from "../../errors/errors.ts";
import type { GrpcCallOptions, GrpcStream, MessageTaker } from "./grpc-client.ts";
import { MessageFramer } from "./message-framer.ts";
import { httpStatusError, isNeverReached, resetError, statusError } from "./status.ts";

/** Bytes of messages taken from a worker ahead of the reader; beyond it the stream is paused. */
const MAX_BUFFERED_BYTES = 65_536;
/** A worker that drains its connections one after the other is met again; one that always says no is told of. */
const MAX_RESTARTS = 3;
const CANCEL = 8;

export interface GrpcRequest {
  readonly origin: string;
  readonly method: string;
  readonly message: Uint8Array;
  readonly options: GrpcCallOptions;
  readonly maxMessageBytes: number;
}

interface Reader {
  /** Takes what is there. */
  wake(): void;
  reject(error: GatewayError): void;
}

/** The connection that a call is on. */
export interface CallConnection {
  /** An answer has come on it before: it was idle, and the worker may have closed it meanwhile. */
  readonly isReused: boolean;
  /** It is closed or broken. */
  readonly isLost: boolean;
  /** Streams above it were not looked at, says the worker's GOAWAY. */
  readonly lastStreamId: number;
  /** The call is over and its stream closed. */
  release(call: GrpcCall): void;
}

/** Whoever finds connections for calls. */
export interface CallOwner {
  /** The worker has not looked at the call: finds it another connection. */
  restart(call: GrpcCall): void;
  /** The call is over. */
  over(call: GrpcCall): void;
}

/**
 * One call, from its request to its end: whole, failed, or discarded.
 *
 * ```
 * waiting -> sent -> messages -> over
 *    ^        |         |         ^
 *    +--------+         +---------+
 *   never reached
 * ```
 */
export class GrpcCall implements GrpcStream {
  readonly request: GrpcRequest;
  hasMessages = false;
  /** When the worker has to be reached, on the transport's clock. */
  readonly reachDeadline: number;
  readonly #owner: CallOwner;
  #framer: MessageFramer;
  #connection: CallConnection | undefined;
  #stream: ClientHttp2Stream | undefined;
  #headers: IncomingHttpHeaders | undefined;
  #trailers: IncomingHttpHeaders | undefined;
  #cause: unknown;
  #queue: Uint8Array[] = [];
  /** How many of the queue have been read. */
  #taken = 0;
  #queuedBytes = 0;
  #reader: Reader | undefined;
  /** Who takes messages as they come, and what ends that. */
  #taker: MessageTaker | undefined;
  #stopTaking: (() => void) | undefined;
  #isPaused = false;
  #isWhole = false;
  #failure: GatewayError | undefined;
  /** Bytes have come since the deadlines were last looked at. */
  #isFresh = false;
  /** Times that it was sent again because a connection turned it away unread. */
  #restarts = 0;
  #phaseDeadline = Number.POSITIVE_INFINITY;
  readonly #onAbort: () => void;

  constructor(request: GrpcRequest, owner: CallOwner, now: number) {
    this.request = request;
    this.#owner = owner;
    this.#framer = new MessageFramer(request.maxMessageBytes);
    this.reachDeadline = now + request.options.timeouts.connectMs;
    this.#onAbort = () => this.fail(whyLeft(request.options.signal?.reason));
    request.options.signal?.addEventListener("abort", this.#onAbort);
  }

  get isOver(): boolean {
    return this.#isWhole || this.#failure !== undefined;
  }

  /** The request is on its way: from now the worker has `firstByteMs`. */
  started(connection: CallConnection, stream: ClientHttp2Stream, now: number): void {
    this.#connection = connection;
    this.#stream = stream;
    this.#phaseDeadline = now + this.request.options.timeouts.firstByteMs;
    stream.on("response", (headers) => this.#answered(headers));
    stream.on("data", (piece: Uint8Array) => this.#received(piece));
    stream.on("trailers", (trailers) => {
      this.#trailers = trailers;
    });
    stream.on("end", () => this.#ended());
    stream.on("error", (cause) => {
      this.#cause = cause;
    });
    stream.on("close", () => this.#closed(stream));
  }

  /** Called now and then with the time; ends the call when a bound has passed. True if the worker was heard meanwhile. */
  checkDeadlines(now: number): boolean {
    if (this.isOver) return false;
    const { deadline, timeouts } = this.request.options;
    const wasHeard = this.#isFresh;
    this.#isFresh = false;
    if (wasHeard && this.hasMessages) this.#phaseDeadline = now + timeouts.idleMs;
    if (now >= deadline) this.fail(tookTooLong());
    else if (now >= this.#phaseDeadline && !this.#isPaused) this.fail(this.silence());
    return wasHeard;
  }

  /** What it is when the worker says nothing: keepalive and deadlines agree on it. */
  silence(): GatewayError {
    return this.hasMessages
      ? new GatewayError("upstream_stalled", "the worker fell silent within its answer")
      : new GatewayError("upstream_timeout", "the worker did not begin to answer in time");
  }

  fail(error: GatewayError): void {
    if (this.isOver) return;
    this.#failure = error;
    this.#settle();
    this.#wakeReader();
  }

  read(): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    if (this.#taken < this.#queue.length) return this.#take();
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#isWhole) return undefined;
    return new Promise((resolve, reject) => {
      this.#reader = { wake: () => resolve(this.#take()), reject };
    });
  }

  readAvailable(): readonly Uint8Array[] | Promise<readonly Uint8Array[]> {
    if (this.#taken < this.#queue.length) return this.#takeAll();
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#isWhole) return [];
    return new Promise((resolve, reject) => {
      this.#reader = { wake: () => resolve(this.#takeAll()), reject };
    });
  }

  follow(taker: MessageTaker): Promise<void> {
    const isDone = this.#taken < this.#queue.length && !taker.takeMessages(this.#takeAll());
    if (isDone || this.isOver) return Promise.resolve();
    return new Promise((resolve) => {
      this.#taker = taker;
      this.#stopTaking = resolve;
    });
  }

  discard(): void {
    this.#queue = [];
    this.#taken = 0;
    this.fail(clientClosed());
  }

  /** Whoever waits gets what is there, or that it is over. */
  #wakeReader(): void {
    const taker = this.#taker;
    if (taker) {
      const goesOn = this.#taken >= this.#queue.length || taker.takeMessages(this.#takeAll());
      if (!goesOn || this.isOver) this.#unfollow();
      return;
    }
    const reader = this.#reader;
    if (!reader) return;
    this.#reader = undefined;
    if (this.#failure !== undefined && this.#queue.length === 0) reader.reject(this.#failure);
    else reader.wake();
  }

  #unfollow(): void {
    const stop = this.#stopTaking;
    this.#taker = undefined;
    this.#stopTaking = undefined;
    stop?.();
  }

  /** The next message, `undefined` if there is none. */
  #take(): Uint8Array | undefined {
    const message = this.#queue[this.#taken];
    if (message === undefined) return undefined;
    this.#taken += 1;
    this.#queuedBytes -= message.length;
    if (this.#taken === this.#queue.length) {
      this.#queue = [];
      this.#taken = 0;
    }
    this.#resume();
    return message;
  }

  #takeAll(): readonly Uint8Array[] {
    const all = this.#taken === 0 ? this.#queue : this.#queue.slice(this.#taken);
    this.#queue = [];
    this.#taken = 0;
    this.#queuedBytes = 0;
    this.#resume();
    return all;
  }

  #resume(): void {
    if (!this.#isPaused || this.#queuedBytes >= MAX_BUFFERED_BYTES / 2) return;
    this.#isPaused = false;
    this.#isFresh = true;
    this.#stream?.resume();
  }

  #answered(headers: IncomingHttpHeaders & IncomingHttpStatusHeader): void {
    if (this.isOver) return;
    this.#headers = headers;
    this.#isFresh = true;
    const isGrpc = headers[":status"] === 200 && headers["content-type"]?.startsWith("application/grpc") === true;
    if (!isGrpc && headers["grpc-status"] === undefined) {
      this.fail(httpStatusError(Number(headers[":status"]), this.request.origin));
      return;
    }
    const encoding = headers["grpc-encoding"];
    this.#framer.encoding = typeof encoding === "string" ? encoding : undefined;
  }

  #received(piece: Uint8Array): void {
    if (this.isOver) return;
    if (!this.#headers) {
      this.fail(new GatewayError("upstream_protocol_error", "the worker's answer is not valid gRPC"));
      return;
    }
    this.#isFresh = true;
    const before = this.#queue.length;
    try {
      this.#framer.push(piece, this.#queue);
    } catch (error) {
      this.fail(asGatewayError(error));
      return;
    }
    if (this.#queue.length === before) return;
    this.hasMessages = true;
    for (let index = before; index < this.#queue.length; index += 1) {
      this.#queuedBytes += this.#queue[index]?.length ?? 0;
    }
    this.#wakeReader();
    if (!this.#isPaused && this.#queuedBytes > MAX_BUFFERED_BYTES) {
      this.#isPaused = true;
      this.#stream?.pause();
    }
  }

  /** The worker has said all. Where it has not read our whole request, the stream is not closed by that. */
  #ended(): void {
    if (!this.isOver && this.#status() !== undefined) this.#finish();
  }

  #closed(stream: ClientHttp2Stream): void {
    if (this.isOver || stream !== this.#stream) return;
    const resetCode = stream.rstCode ?? 0;
    if (this.#status() !== undefined) this.#finish();
    else if (!this.#headers && this.#wasTurnedAway(stream, resetCode)) this.#tryAgain();
    else this.fail(this.#broken(resetCode));
  }

  #wasTurnedAway(stream: ClientHttp2Stream, resetCode: number): boolean {
    return isNeverReached(resetCode) || (stream.id ?? 0) > (this.#connection?.lastStreamId ?? 0);
  }

  /** The worker has not looked at it, so it may be sent again as if for the first time; but not for ever. */
  #tryAgain(): void {
    if (this.#restarts === MAX_RESTARTS) {
      this.fail(new GatewayError("upstream_not_reached", "the worker turned the request away unread"));
      return;
    }
    this.#restarts += 1;
    const connection = this.#connection;
    this.#connection = undefined;
    this.#stream = undefined;
    this.#cause = undefined;
    this.#phaseDeadline = Number.POSITIVE_INFINITY;
    connection?.release(this);
    this.#owner.restart(this);
  }

  /** Why a stream ended without a status. */
  #broken(resetCode: number): GatewayError {
    const isWithin = this.#headers !== undefined;
    if (resetCode === 0) {
      return isWithin
        ? new GatewayError("upstream_truncated", "the worker's answer ended before it was whole")
        : new GatewayError("upstream_closed", "the worker ended the request before it answered");
    }
    if (!this.#isConnectionLost()) return resetError(resetCode, isWithin);
    const cause = this.#cause;
    if (isWithin) return new GatewayError("upstream_reset", "the connection to the worker broke", { cause });
    if (isProtocolError(cause)) {
      return new GatewayError("upstream_protocol_error", "the worker's answer is not valid HTTP/2", { cause });
    }
    return this.#connection?.isReused
      ? new GatewayError("upstream_stale_socket", "the worker closed the connection before it answered", { cause })
      : new GatewayError("upstream_closed", "the connection to the worker broke before it answered", { cause });
  }

  #isConnectionLost(): boolean {
    const cause = this.#cause;
    if (cause instanceof Error && "code" in cause) return cause.code !== "ERR_HTTP2_STREAM_ERROR";
    return this.#connection?.isLost !== false;
  }

  #status(): string | undefined {
    return this.#trailer("grpc-status");
  }

  /** Where there are no messages the trailers are the headers. */
  #trailer(name: string): string | undefined {
    const value = this.#trailers?.[name] ?? this.#headers?.[name];
    return Array.isArray(value) ? value[0] : value;
  }

  /** The worker has given its status. */
  #finish(): void {
    const status = this.#status() ?? "2";
    if (status !== "0") {
      const message = this.#trailer("grpc-message");
      const pushbackMs = this.#trailer("grpc-retry-pushback-ms");
      const isWithin = this.hasMessages;
      this.fail(statusError({ status, message, pushbackMs, origin: this.request.origin, isWithin }));
    } else if (!this.#framer.isBetweenMessages) {
      this.fail(new GatewayError("upstream_truncated", "the worker's answer ended within a message"));
    } else {
      this.#isWhole = true;
      this.#settle();
      this.#wakeReader();
    }
  }

  /** Once, however it ended: lets go of everything but what is still to be read. */
  #settle(): void {
    this.request.options.signal?.removeEventListener("abort", this.#onAbort);
    const stream = this.#stream;
    const connection = this.#connection;
    this.#stream = undefined;
    this.#connection = undefined;
    if (stream && !stream.closed) stream.close(CANCEL);
    // A paused stream would never come to its end.
    if (stream && this.#isPaused) stream.resume();
    this.#isPaused = false;
    connection?.release(this);
    this.#owner.over(this);
  }
}

function isProtocolError(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && cause.code === "ERR_HTTP2_ERROR";
}
