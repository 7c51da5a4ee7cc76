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
import { malformed, MAX_HEAD_BYTES, readRequestHead } from "./request-head.ts";
import type { Turns, Waiting } from "./turns.ts";
import { CR, LF } from "../../util/ascii.ts";

/** Requests behind the one that is answered that are taken ahead, bytes; beyond it the socket is paused. */
const MAX_AHEAD_BYTES = 65_536;
/** So far a socket that is paused is read on now and then: only behind what it sent can be seen that a client has left. */
const MAX_LOOKED_BYTES = 1_048_576;
/** Empty lines before a request, bytes. Some clients send one behind a body (RFC 9112, section 2.2); none send many. */
const MAX_EMPTY_BYTES = 16;
/** Rest of a body that nobody wants which is still waited for, so that the connection can go on, bytes. */
const MAX_DROPPED_BYTES = 262_144;
/** For a head to be whole, ms. */
const HEAD_MS = 10_000;
/** For a client to close its side after the last answer, ms. Closing at once could take the answer from it (RFC 9112, section 9.6). */
const LINGER_MS = 2000;
const NO_BYTES: Buffer = Buffer.alloc(0);
const BLANK_LINE_BYTES = 4;

export interface ClientConnectionOwner {
  /** In which a client asks nothing, or takes nothing of an answer that is whole, ms. */
  readonly idleMs: number;
  /** Answers end their connection from now on. */
  readonly isLeaving: boolean;
  /** For requests behind each other. */
  readonly turns: Turns;
  /** Counts what is held of requests. */
  readonly account: ByteAccount;
  now(): number;
  /** Answers a request; never throws or rejects. */
  handle(request: ClientRequest): Reply | Promise<Reply>;
  /** Adds to an answer, right before it is written, what all answers have. */
  finish(request: ClientRequest, reply: Reply): void;
  /** The answer to what is no request. */
  refuse(error: GatewayError): WholeReply;
  /** An answer failed while it was written, which none may. */
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
export class ClientConnection implements RequestConnection, SinkConnection, Waiting {
  readonly address: string | undefined;
  readonly #owner: ClientConnectionOwner;
  readonly #socket: Socket<ClientConnection>;
  #phase: "idle" | "head" | "busy" | "leaving" | "gone" = "idle";
  /** When the phase began, or an answer last got on; on the owner's clock. */
  #since: number;
  /** A head that is not whole, or what came behind the request that is answered. */
  readonly #ahead: Ahead;
  /** Bytes of the buffer that is looked at. */
  #whole = 0;
  /** As far as a blank line was looked for. */
  #searched = 0;
  /** The request that is answered. */
  #request: IncomingRequest | undefined;
  /** Of a body that is still coming. */
  #framer: BodyFramer | undefined;
  #dropped = 0;
  /** Of empty lines since the last request. */
  #emptyBytes = 0;
  /** The stream in which the answer goes out. */
  #sink: AnswerSink | undefined;
  /** What the socket would not take yet, and who waits for it. */
  #unsent: Uint8Array | undefined;
  #sent: PromiseWithResolvers<void> | undefined;
  #isPaused = false;
  /** What came behind the request that was answered has its turn soon. */
  #isWaiting = false;
  /** No request after this one: what came cannot be read on. */
  #isLast = false;
  /** The client has closed its side. */
  #isHalfClosed = false;

  /** `address`: the client's, where connections are counted by it. */
  constructor(socket: Socket<ClientConnection>, owner: ClientConnectionOwner, address: string | undefined) {
    this.#socket = socket;
    this.address = address;
    this.#owner = owner;
    this.#ahead = new Ahead(owner.account);
    this.#since = owner.now();
  }

  /** Read when somebody asks; empty once the socket is gone. */
  get peerAddress(): string {
    return this.#socket.remoteAddress ?? "";
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
   * The client has closed its side: because it is gone, or has said all that it will say. The kernel tells the two apart
   * when something is written: to one that is gone it breaks the connection.
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

  /** Called now and then with the time; ends what has taken too long. */
  checkTime(now: number): void {
    const ms = now - this.#since;
    if (this.#phase === "idle" && ms >= this.#owner.idleMs) this.#leave();
    else if (this.#phase === "head" && ms >= HEAD_MS)
      this.#refuse(
        new GatewayError("request_timeout", "the head of the request did not arrive in time"),
        this.#ahead.bytes,
      );
    else if (this.#phase === "leaving" && ms >= LINGER_MS) this.close();
    // A request that is answered takes its time. An answer that lies here whole waits for the client alone, and so does the
    // rest of a body that nobody wants.
    else if (this.#phase === "busy" && !this.#request && ms >= this.#owner.idleMs) this.close();
    this.#look();
  }

  /** Nothing is asked on it. */
  get isIdle(): boolean {
    return this.#phase === "idle";
  }

  /** There is no room for it, nor to wait for its end. */
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

  /** Ends it where nothing is asked on it. */
  closeIfIdle(): void {
    if (this.#phase === "idle") this.#leave();
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
      // Nothing has begun: who sends such is idle, and as long as before.
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

  /** What lies ahead, and these behind it. */
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
    // What can never become a request is told so at once: lines that end otherwise, or TLS.
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
    let request: IncomingRequest;
    let framer: BodyFramer;
    try {
      const head = readRequestHead(bytes.toString("latin1", 0, end));
      request = new IncomingRequest(head, this, this.#owner.account);
      framer = head.framer;
    } catch (error) {
      this.#refuse(error instanceof GatewayError ? error : malformed("it cannot be read"), bytes);
      return;
    }
    this.#phase = "busy";
    this.#request = request;
    const from = end + BLANK_LINE_BYTES;
    if (!framer.isDone) {
      this.#framer = framer;
      if (from < bytes.length) this.#takeBody(framer, bytes, from);
    } else if (from < bytes.length) this.#keepAhead(bytes.subarray(from));
    const replying = this.#owner.handle(request);
    if (replying instanceof Promise) void replying.then((reply) => this.#replied(request, reply));
    else this.#replied(request, replying);
  }

  #replied(request: IncomingRequest, reply: Reply): void {
    try {
      this.#owner.finish(request, reply);
      this.#answer(request, reply);
    } catch (error) {
      this.#break(error);
    }
  }

  /** What stands in the bytes from `from` on is of the body. */
  #takeBody(framer: BodyFramer, bytes: Buffer, from = 0): void {
    const request = this.#request;
    try {
      framer.push(bytes, from);
    } catch (error) {
      // Where the next request begins cannot be told any more.
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
    // Where it cannot be kept the connection ends with the answers to what could: whoever sent it has to send it again.
    if (!this.#ahead.put(this.#joined(bytes), this.#whole)) this.#isLast = true;
    if (this.#ahead.length > MAX_AHEAD_BYTES) this.pause();
  }

  #answer(request: IncomingRequest, reply: Reply): void {
    if (this.#request !== request || this.#phase !== "busy") {
      if (isReplyStream(reply.body)) runNowhere(reply.body);
      return;
    }
    const framer = this.#framer;
    if (framer) {
      // The rest of the body is waited for where it is little, and where it will come.
      if (request.isAwaitingContinue || framer.missing > MAX_DROPPED_BYTES) this.#isLast = true;
      request.drop();
    }
    if (!request.keepAlive || reply.endsConnection === true || this.#owner.isLeaving) this.#isLast = true;
    if (isReplyStream(reply.body)) this.#answerInPieces(request, reply, reply.body);
    else {
      this.#writeWhole(wholeAnswer(request, reply, reply.body, this.#isLast));
      this.#answered();
    }
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

  /** The answer cannot be gone on with, by a defect of ours. */
  #break(error: unknown): void {
    this.#owner.onDefect(error);
    this.close();
  }

  /** The answer is given, if not taken yet. */
  #answered(): void {
    this.#request?.over();
    this.#request = undefined;
    this.#since = this.#owner.now();
    const unsent = this.#whenSent();
    if (unsent) void unsent.then(() => this.#next());
    else this.#next();
  }

  /** Goes on with what came behind the request, when all of that is there and its answer has left. */
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

  /** Takes up what came behind the request that was answered. */
  takeTurn(): void {
    this.#isWaiting = false;
    // It has gone meanwhile.
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

  /** Reads the socket again where it was paused, and nothing lies here that has to go first. */
  #readOn(): void {
    if (!this.#isPaused || this.#ahead.length > MAX_AHEAD_BYTES || this.#request?.isFull === true) return;
    this.resume();
  }

  /**
   * Reads a little on, where the socket is paused while a request is answered: a client that has left is seen by the end that
   * stands behind its bytes. What comes pauses it again.
   */
  #look(): void {
    if (!this.#isPaused || !this.#request || this.#phase !== "busy") return;
    if (this.#ahead.length + this.#request.unread <= MAX_LOOKED_BYTES) this.resume();
  }

  /** `asked`: what came of the request, as far as it is known. */
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
    // What is left unsent is not wanted: no orderly end, which would wait for it.
    if (this.#unsent || this.#request) this.#socket.terminate();
    else this.#socket.end();
    this.closed(cause);
  }

  /** Writes what means nothing, where something can be written that does. */
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

/** An answer that nobody gets is run all the same, so that what it holds is given back. */
function runNowhere(body: ReplyStream): void {
  void body.run({ write: () => undefined, breakOff: () => undefined }).catch(() => undefined);
}

const NO_REQUEST = { method: "GET", isHttp11: true };
/** One that gets no body, whatever the answer says (RFC 9110, section 9.3.2). */
const HEAD_REQUEST = { method: "HEAD", isHttp11: true };
const HEAD = "HEAD ";
const CONTINUE: Buffer = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n");
const LETTER_A = 65;
const LETTER_Z = 90;
