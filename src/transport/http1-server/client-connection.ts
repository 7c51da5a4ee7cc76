import type { Socket } from "bun";
import { clientClosed, GatewayError } from "../../errors/errors.ts";
import { type ClientRequest, isReplyStream, type Reply, type ReplyStream, type WholeReply } from "../downstream.ts";
import { type BodyFramer, bytesOf } from "../http1/body-framer.ts";
import { indexOfBlankLine } from "../http1/fields.ts";
import { Ahead, tight } from "./ahead.ts";
import type { ByteAccount } from "./byte-account.ts";
import { IncomingRequest, memoryFull, type RequestConnection } from "./incoming-request.ts";
import { headOf, isTransient, type WholeAnswer, wholeAnswer } from "./answer-bytes.ts";
import { AnswerSink, type SinkConnection } from "./answer-sink.ts";
import { malformed, MAX_HEAD_BYTES, readRequestHead, type RequestHead } from "./request-head.ts";
import type { SocketUser } from "./socket-user.ts";
import type { Turns, Waiting } from "./turns.ts";
import { CR, LF } from "../../util/ascii.ts";

/** Most bytes of further requests that are read while one is answered. With more the socket is paused. */
const MAX_AHEAD_BYTES = 65_536;
/** A paused socket is read on up to this many bytes now and then: that a client has left shows only behind the bytes that it sent. */
const MAX_LOOKED_BYTES = 1_048_576;
/** Empty lines before a request, bytes. Some clients send one behind a body (RFC 9112, section 2.2); none send many. */
const MAX_EMPTY_BYTES = 16;
/** An answered request may still send this many bytes of its body, which are dropped, so that the connection can be used again. */
const MAX_DROPPED_BYTES = 262_144;
/** Time for the whole head of a request to arrive, ms. */
const HEAD_MS = 10_000;
/** Time for a client to close its side after the last answer, ms. If we closed first, the client could lose the answer (RFC 9112, section 9.6). */
const LINGER_MS = 2000;
const NO_BYTES: Buffer = Buffer.alloc(0);
const BLANK_LINE_BYTES = 4;

/** What a connection needs of its socket, with TLS or without. */
type ClientSocket = Pick<Socket, "remoteAddress" | "write" | "pause" | "resume" | "shutdown" | "terminate" | "end">;

export interface ClientConnectionOwner {
  /** A connection is closed when its client sends no request for so long, or reads nothing of a whole answer, ms. */
  readonly idleMs: number;
  /** The server drains: each answer ends its connection. */
  readonly isLeaving: boolean;
  /** Gives pipelined requests their turns. */
  readonly turns: Turns;
  /** Counts the bytes that are held of requests. */
  readonly account: ByteAccount;
  now(): number;
  /** As `Clock.recent`. */
  recent(): number;
  /** The answer to a request that is not worth more than a look at its head; undefined where it is to be handled. Never throws. */
  screen(head: RequestHead, from: Pick<ClientRequest, "peerAddress">): WholeReply | undefined;
  /** Answers a request; never throws or rejects. */
  handle(request: ClientRequest): Reply | Promise<Reply>;
  /** Adds to an answer, right before it is written, what all answers have. */
  finish(request: Pick<ClientRequest, "headers">, reply: Reply): void;
  /** Makes the answer to bytes that are not a request. */
  refuse(error: GatewayError): WholeReply;
  /** Called when writing an answer threw, which is a defect of ours. */
  onDefect(error: unknown): void;
  gone(connection: ClientConnection): void;
}

/**
 * One client's socket, one request after another.
 *
 * ```
 *   idle -- bytes --> head -- blank line --> busy -- answered, body read --> idle, or busy in a turn to come
 *    |                 |                      |
 *    | too long        | no request, too long | last answer given
 *    v                 v                      v
 *   gone <----- client closes, or time ---- leaving (our side is closed; what comes is dropped)
 * ```
 */
export class ClientConnection implements RequestConnection, SinkConnection, SocketUser, Waiting {
  readonly address: string | undefined;
  readonly #owner: ClientConnectionOwner;
  readonly #socket: ClientSocket;
  #peerAddress: string | undefined;
  #phase: "idle" | "head" | "busy" | "leaving" | "gone" = "idle";
  /** When the phase began, or when the client last read a part of an answer; on the owner's clock. */
  #since: number;
  /** Bytes that wait: an incomplete head, or requests behind the one that is answered. */
  readonly #ahead: Ahead;
  /** Size of the buffer that is being read. */
  #whole = 0;
  /** The blank line was searched up to this index. */
  #searched = 0;
  /** The request that is answered. */
  #request: IncomingRequest | undefined;
  /** Framer of a body that has not arrived whole. */
  #framer: BodyFramer | undefined;
  #dropped = 0;
  /** Bytes of empty lines since the last request. */
  #emptyBytes = 0;
  /** The stream in which the answer goes out. */
  #sink: AnswerSink | undefined;
  /** Bytes that the socket did not accept yet, and the promise for them. */
  #unsent: Uint8Array | undefined;
  #sent: PromiseWithResolvers<void> | undefined;
  #isPaused = false;
  /** The next pipelined request waits for its turn. */
  #isWaiting = false;
  /** The connection ends after this request. */
  #isLast = false;
  /** The client has closed its side. */
  #isHalfClosed = false;

  /** `address`: the client's address, if connections are counted by address. */
  constructor(socket: ClientSocket, owner: ClientConnectionOwner, address: string | undefined) {
    this.#socket = socket;
    this.address = address;
    this.#owner = owner;
    this.#ahead = new Ahead(owner.account);
    this.#since = owner.now();
  }

  /** Read when somebody asks first; empty where the socket was gone then. */
  get peerAddress(): string {
    return (this.#peerAddress ??= this.address ?? this.#socket.remoteAddress ?? "");
  }

  received(bytes: Buffer): void {
    this.#whole = bytes.length;
    if (this.#phase === "leaving") this.#drop(bytes.length);
    else if (this.#framer) this.#takeBody(this.#framer, bytes);
    else if (this.#phase === "busy") this.#keepAhead(bytes);
    else this.#takeHead(bytes);
  }

  drained(): void {
    const rest = this.#unsent;
    if (!rest) return;
    this.#unsent = undefined;
    this.#since = this.#owner.now();
    this.#write(rest);
    if (!this.#unsent) this.#allSent();
  }

  /**
   * The client has closed its side: it is gone, or it has sent all that it will send. A write tells the two apart: if the client is
   * gone, the kernel breaks the connection.
   */
  ended(): void {
    this.#isHalfClosed = true;
    if (this.#framer) {
      // The rest of the body will not come.
      this.#framer = undefined;
      this.#isLast = true;
      if (this.#request) this.#end(clientClosed("within its request"));
      else this.#next();
    } else if (this.#phase !== "busy") this.#end(undefined);
    else if (this.#request) this.#probe();
  }

  /** The socket is closed. */
  closed(cause: unknown): void {
    if (this.#phase === "gone") return;
    this.#phase = "gone";
    this.#unsent = undefined;
    this.#ahead.take();
    this.#sink?.detach();
    this.#request?.leave(cause);
    this.#allSent();
    this.#owner.gone(this);
  }

  /** Called about twice a second. Ends the connection if its phase has taken too long. */
  checkTime(now: number): void {
    const ms = now - this.#since;
    if (this.#phase === "idle" && ms >= this.#owner.idleMs) this.#leave();
    else if (this.#phase === "head" && ms >= HEAD_MS)
      this.#refuse(
        new GatewayError("request_timeout", "the head of the request did not arrive in time"),
        this.#ahead.bytes,
      );
    else if (this.#phase === "leaving" && ms >= LINGER_MS) this.close();
    // The time of a request has a bound elsewhere. A whole answer, and the rest of a body that is dropped, wait only for the client.
    else if (this.#phase === "busy" && !this.#request && ms >= this.#owner.idleMs) this.close();
    this.#look();
  }

  /** No request is under way. */
  get isIdle(): boolean {
    return this.#phase === "idle";
  }

  /** Refuses the connection and closes it at once: there are too many. */
  turnAway(): void {
    this.#writeRefusal(
      new GatewayError("overloaded", "the gateway has as many connections as it can hold", { retryAfterSecs: 1 }),
      NO_BYTES,
    );
    this.close();
  }

  /** Its client has more connections than it may have. */
  refuseTooMany(most: number): void {
    this.#refuse(
      new GatewayError("too_many_connections", `no more than ${most} connections from one address`, {
        retryAfterSecs: 1,
      }),
      NO_BYTES,
    );
  }

  /** Closes the connection unless a request is under way. */
  closeIfIdle(): void {
    if (this.#phase === "idle") this.#leave();
  }

  /** Ends the connection with the answer to its request, or at once where it has none. */
  endSoon(): void {
    this.#isLast = true;
    this.closeIfIdle();
  }

  close(): void {
    this.#end(undefined);
  }

  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#phase !== "gone") this.#socket.resume();
  }

  sendContinue(): void {
    if (this.#phase === "busy" && !this.#sink) this.#write(CONTINUE);
  }

  send(bytes: Uint8Array, length: number): Promise<void> | undefined {
    this.#write(bytes, length);
    return this.#whenSent();
  }

  #takeHead(bytes: Buffer): void {
    const all = this.#withoutEmptyLines(this.#joined(bytes));
    if (this.#emptyBytes > MAX_EMPTY_BYTES) {
      this.#refuse(malformed("too many empty lines"), all);
      return;
    }
    if (all.length <= 1 && (all.length === 0 || all[0] === CR)) {
      // An empty line begins no request: the connection stays idle, and its idle time goes on.
      this.#ahead.put(all, this.#whole);
      if (this.#isHalfClosed) this.#leave();
      return;
    }
    const end = indexOfBlankLine(all, Math.max(0, this.#searched - 3));
    if ((end < 0 ? all.length : end) > MAX_HEAD_BYTES) {
      this.#refuse(
        new GatewayError("headers_too_large", `the head of the request is larger than ${MAX_HEAD_BYTES} bytes`),
        all,
      );
      return;
    }
    if (end < 0) this.#awaitHead(all);
    else this.#begin(all, end);
  }

  /** The bytes that wait, with these behind them. */
  #joined(bytes: Buffer): Buffer {
    if (this.#ahead.length === 0) return bytes;
    const joined = Buffer.concat([this.#ahead.take(), bytes]);
    this.#whole = joined.length;
    return joined;
  }

  #withoutEmptyLines(bytes: Buffer): Buffer {
    let start = 0;
    while (bytes[start] === CR && bytes[start + 1] === LF) start += 2;
    if (start === 0) return bytes;
    this.#searched = 0;
    this.#emptyBytes += start;
    return bytes.subarray(start);
  }

  #awaitHead(bytes: Buffer): void {
    const lf = bytes.indexOf(LF, Math.max(0, this.#searched - 1));
    const first = bytes[0] ?? 0;
    // Bytes that can never become a request are refused at once: other line ends, or TLS.
    if ((lf >= 0 && bytes[lf - 1] !== CR) || first < LETTER_A || first > LETTER_Z) {
      this.#refuse(malformed("no request line"), bytes);
      return;
    }
    if (this.#isHalfClosed) {
      this.#leave();
      return;
    }
    if (!this.#ahead.put(bytes, this.#whole)) {
      this.#refuse(memoryFull(), bytes);
      return;
    }
    this.#searched = bytes.length;
    if (this.#phase === "head") return;
    this.#phase = "head";
    this.#since = this.#owner.now();
  }

  #begin(bytes: Buffer, end: number): void {
    this.#searched = 0;
    this.#emptyBytes = 0;
    let head: RequestHead;
    try {
      head = readRequestHead(bytes.toString("latin1", 0, end));
    } catch (error) {
      this.#refuse(error instanceof GatewayError ? error : malformed("it cannot be read"), bytes);
      return;
    }
    const brief = this.#owner.screen(head, this);
    if (brief) {
      this.#takeRest(head, bytes, end);
      this.#answerBriefly(head, brief);
      return;
    }
    const request = new IncomingRequest(head, this, this.#owner.account);
    this.#phase = "busy";
    this.#request = request;
    this.#takeRest(head, bytes, end);
    const replying = this.#owner.handle(request);
    if (replying instanceof Promise) void replying.then((reply) => this.#replied(request, reply));
    else this.#replied(request, replying);
  }

  /** Takes what came behind a head that ends at `end`. */
  #takeRest({ framer }: RequestHead, bytes: Buffer, end: number): void {
    const from = end + BLANK_LINE_BYTES;
    if (!framer.isDone) {
      this.#framer = framer;
      if (from < bytes.length) this.#takeBody(framer, bytes, from);
    } else if (from < bytes.length) this.#keepAhead(bytes.subarray(from));
  }

  /** Answers a request that nobody handles. Its body is dropped. */
  #answerBriefly(head: RequestHead, reply: WholeReply): void {
    this.#phase = "busy";
    try {
      this.#owner.finish(head, reply);
      this.#decideLast(head, reply, head.expectsContinue);
      this.#writeWhole(wholeAnswer(head, reply, reply.body, this.#isLast));
      this.#answered();
    } catch (error) {
      this.#break(error);
    }
  }

  #replied(request: IncomingRequest, reply: Reply): void {
    try {
      this.#owner.finish(request, reply);
      this.#answer(request, reply);
    } catch (error) {
      this.#break(error);
    }
  }

  /** The bytes from index `from` on belong to the body. */
  #takeBody(framer: BodyFramer, bytes: Buffer, from = 0): void {
    const request = this.#request;
    try {
      framer.push(bytes, from);
    } catch (error) {
      // We no longer know where the next request begins.
      this.#framer = undefined;
      this.#isLast = true;
      if (request) request.fail(error);
      else this.#next();
      return;
    }
    if (request && framer.to > framer.from) request.offer(tight(bytesOf(framer), this.#whole));
    if (!framer.isDone) return;
    this.#framer = undefined;
    const { rest } = framer;
    if (rest.length > 0) this.#keepAhead(rest);
    if (request) {
      request.end();
      return;
    }
    this.#since = this.#owner.now();
    this.#next();
  }

  #keepAhead(bytes: Buffer): void {
    if (this.#isLast) return;
    // Without room for it the connection ends after the requests that were kept; the client has to send the others again.
    if (!this.#ahead.put(this.#joined(bytes), this.#whole)) this.#isLast = true;
    if (this.#ahead.length > MAX_AHEAD_BYTES) this.pause();
  }

  #answer(request: IncomingRequest, reply: Reply): void {
    if (this.#request !== request || this.#phase !== "busy") {
      if (isReplyStream(reply.body)) runNowhere(reply.body);
      return;
    }
    this.#decideLast(request, reply, request.isAwaitingContinue);
    if (this.#framer) request.drop();
    if (isReplyStream(reply.body)) this.#answerInPieces(request, reply, reply.body);
    else {
      this.#writeWhole(wholeAnswer(request, reply, reply.body, this.#isLast));
      this.#answered();
    }
  }

  /** Whether this answer ends the connection. It is used again only if the rest of the body is small and the client will send it. */
  #decideLast({ keepAlive }: Pick<RequestHead, "keepAlive">, reply: Reply, awaitsContinue: boolean): void {
    const framer = this.#framer;
    const isBodyLeft = framer !== undefined && (awaitsContinue || framer.missing > MAX_DROPPED_BYTES);
    if (isBodyLeft || !keepAlive || reply.endsConnection === true || this.#owner.isLeaving) this.#isLast = true;
  }

  #answerInPieces(request: IncomingRequest, reply: Reply, body: ReplyStream): void {
    const isChunked = request.isHttp11;
    this.#isLast ||= !isChunked;
    let head: string;
    try {
      head = headOf(request, reply, isChunked ? "chunked" : "until close", this.#isLast);
    } catch (error) {
      runNowhere(body);
      throw error;
    }
    if (request.method === "HEAD") {
      runNowhere(body);
      this.#write(Buffer.from(head, "latin1"));
      this.#answered();
      return;
    }
    const sink = new AnswerSink(this, head, isChunked);
    this.#sink = sink;
    body.run(sink).then(
      () => {
        if (this.#sink !== sink || this.#phase !== "busy") return undefined;
        sink.end();
        this.#sink = undefined;
        this.#answered();
        return undefined;
      },
      (error: unknown) => this.#break(error),
    );
  }

  /** Ends the connection in the middle of an answer, because of a defect of ours. */
  #break(error: unknown): void {
    this.#owner.onDefect(error);
    this.close();
  }

  /** The whole answer was written; the client may not have read all of it. */
  #answered(): void {
    this.#request?.over();
    this.#request = undefined;
    this.#since = this.#owner.recent();
    const unsent = this.#whenSent();
    if (unsent) void unsent.then(() => this.#next());
    else this.#next();
  }

  /** Goes on to the next request once the body of this one has arrived and its answer has left. */
  #next(): void {
    if (this.#phase !== "busy" || this.#request || this.#unsent) return;
    if (this.#isLast) {
      this.#leave();
      return;
    }
    if (this.#framer || this.#isWaiting) return;
    if (this.#ahead.length > 0) {
      this.#isWaiting = true;
      this.#owner.turns.wait(this);
      return;
    }
    this.#beIdle();
    this.#readOn();
    if (this.#isHalfClosed) this.#leave();
  }

  /** Reads the next pipelined request. */
  takeTurn(): void {
    this.#isWaiting = false;
    // The client has left meanwhile.
    if (this.#phase !== "busy") return;
    this.#beIdle();
    this.#whole = this.#ahead.held;
    this.#takeHead(this.#ahead.take());
    this.#readOn();
  }

  #beIdle(): void {
    this.#phase = "idle";
    this.#dropped = 0;
  }

  /** Reads a paused socket again, unless many bytes wait already. */
  #readOn(): void {
    if (!this.#isPaused || this.#ahead.length > MAX_AHEAD_BYTES || this.#request?.isFull === true) return;
    this.resume();
  }

  /**
   * Reads a paused socket a little further while a request is answered: the end of a client that has left stands behind its bytes.
   * The next bytes pause the socket again.
   */
  #look(): void {
    if (!this.#isPaused || !this.#request || this.#phase !== "busy") return;
    if (this.#ahead.length + this.#request.unread <= MAX_LOOKED_BYTES) this.resume();
  }

  /** Answers with an error and ends the connection. `asked`: the bytes that came of the request. */
  #refuse(error: GatewayError, asked: Buffer): void {
    this.#isLast = true;
    this.#phase = "busy";
    this.#writeRefusal(error, asked);
    this.#answered();
  }

  #writeRefusal(error: GatewayError, asked: Buffer): void {
    const reply = this.#owner.refuse(error);
    const to = asked.toString("latin1", 0, HEAD.length) === HEAD ? HEAD_REQUEST : NO_REQUEST;
    this.#writeWhole(wholeAnswer(to, reply, reply.body, true));
  }

  /** Closes our side, and waits for the client to close its own. */
  #leave(): void {
    this.#framer = undefined;
    this.#ahead.take();
    if (this.#isHalfClosed) {
      this.#end(undefined);
      return;
    }
    this.#phase = "leaving";
    this.#since = this.#owner.now();
    if (this.#isPaused) this.resume();
    this.#socket.shutdown();
  }

  #drop(bytes: number): void {
    this.#dropped += bytes;
    if (this.#dropped > MAX_DROPPED_BYTES) this.close();
  }

  #end(cause: GatewayError | undefined): void {
    if (this.#phase === "gone") return;
    // An orderly end would wait until the unsent bytes have left.
    if (this.#unsent || this.#request) this.#socket.terminate();
    else this.#socket.end();
    this.closed(cause);
  }

  /** Writes bytes without meaning, if the answer has a place for such, so that the kernel notices a client that is gone. */
  #probe(): void {
    if (this.#unsent) return;
    if (this.#sink?.isBegun === true) this.#sink.probe();
    else if (this.#request?.isHttp11 === true) this.#write(CONTINUE);
  }

  #writeWhole({ bytes, length, after }: WholeAnswer): void {
    this.#write(bytes, length);
    if (after) this.#write(after);
  }

  /** The first `length` of the bytes. */
  #write(bytes: Uint8Array, length = bytes.length): void {
    if (this.#unsent) {
      this.#unsent = Buffer.concat([this.#unsent, bytes.subarray(0, length)]);
      return;
    }
    const written = Math.max(0, this.#socket.write(bytes, 0, length));
    if (written === length) return;
    const rest = bytes.subarray(written, length);
    this.#unsent = isTransient(bytes) ? Buffer.from(rest) : rest;
  }

  #whenSent(): Promise<void> | undefined {
    if (!this.#unsent) return undefined;
    this.#sent ??= Promise.withResolvers<void>();
    return this.#sent.promise;
  }

  #allSent(): void {
    const sent = this.#sent;
    this.#sent = undefined;
    sent?.resolve();
  }
}

/** Runs an answer whose client has left, so that it gives back what it holds. */
function runNowhere(body: ReplyStream): void {
  void body.run({ write: () => undefined, breakOff: () => undefined }).catch(() => undefined);
}

const NO_REQUEST = { method: "GET", isHttp11: true };
/** The answer to HEAD has no body (RFC 9110, section 9.3.2). */
const HEAD_REQUEST = { method: "HEAD", isHttp11: true };
const HEAD = "HEAD ";
const CONTINUE: Buffer = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n");
const LETTER_A = 65;
const LETTER_Z = 90;
