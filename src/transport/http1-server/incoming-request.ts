import { clientClosed, GatewayError } from "../../errors/errors.ts";
import { LeaveController } from "../../util/leave-signal.ts";
import type { ClientRequest, RequestHeaders } from "../downstream.ts";
import { heldBy, PieceQueue, type PieceSource } from "../http1/piece-queue.ts";
import type { ByteAccount } from "./byte-account.ts";
import type { RequestHead } from "./request-head.ts";

/** Bytes of a body that are taken ahead of its reader; beyond it the socket is paused. */
const MAX_BUFFERED_BYTES = 262_144;

/** What a request needs of its connection. */
export interface RequestConnection extends PieceSource {
  readonly peerAddress: string;
  /** Tells the client, which waits for that, to send the body. */
  sendContinue(): void;
}

/** A request whose body arrives while it is answered. */
export class IncomingRequest implements ClientRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: RequestHeaders;
  readonly hasBody: boolean;
  readonly signal = new LeaveController();
  readonly isHttp11: boolean;
  readonly keepAlive: boolean;
  readonly #connection: RequestConnection;
  #expectsContinue: boolean;
  readonly #body = new PieceQueue(MAX_BUFFERED_BYTES);
  #isDropping = false;
  readonly #account: ByteAccount;
  /** Counted there for this request. */
  #held = 0;
  #isOver = false;

  constructor(head: RequestHead, connection: RequestConnection, account: ByteAccount) {
    this.#account = account;
    this.method = head.method;
    this.path = head.path;
    this.query = head.query;
    this.headers = head.headers;
    this.hasBody = head.hasBody;
    this.isHttp11 = head.isHttp11;
    this.keepAlive = head.keepAlive;
    this.#expectsContinue = head.expectsContinue;
    this.#connection = connection;
    this.#body.source = connection;
    if (!head.hasBody) this.#body.end();
  }

  /** Whether the client still waits for leave to send its body, and may send it or not. */
  get isAwaitingContinue(): boolean {
    return this.#expectsContinue && !this.#body.isEnded;
  }

  get peerAddress(): string {
    return this.#connection.peerAddress;
  }

  get isWhole(): boolean {
    return this.#body.isEnded;
  }

  /** So much of the body lies unread that no more is taken. */
  get isFull(): boolean {
    return this.#body.isPaused;
  }

  /** Memory of what has come of the body and was not read. */
  get unread(): number {
    return this.#body.bytes;
  }

  read(): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    if (this.#expectsContinue && !this.#body.isOver) {
      this.#expectsContinue = false;
      this.#connection.sendContinue();
    }
    return this.#body.read();
  }

  hold(bytes: number): void {
    if (this.#isOver) throw clientClosed("its request is over");
    if (!this.#take(bytes)) throw memoryFull();
  }

  letGo(bytes: number): void {
    if (this.#isOver) return;
    this.#held -= bytes;
    this.#account.giveBack(bytes);
  }

  /** The next bytes of the body; their memory is ours. */
  offer(bytes: Buffer): void {
    this.#expectsContinue = false;
    if (this.#isDropping) return;
    if (this.#take(heldBy(bytes.length))) this.#body.offer(bytes);
    else this.#drop(memoryFull());
  }

  /** Nobody works on it any more: what it holds is free. */
  over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#held > 0) this.#account.giveBack(this.#held);
  }

  /** The body is whole. */
  end(): void {
    this.#body.end();
  }

  /** The body never will be. */
  fail(error: unknown): void {
    this.#body.fail(error);
  }

  /** The answer is given: nobody reads the rest of the body, and who still waits for it gets none. */
  drop(): void {
    this.#drop(clientClosed("the request was answered before its end"));
  }

  giveUp(error: GatewayError): void {
    if (!this.#body.isEnded) this.#body.fail(error);
    this.signal.leave(error);
  }

  /** The client has left. */
  leave(cause: unknown): void {
    if (!this.#body.isEnded) this.#body.fail(clientClosed(cause));
    this.signal.leave(cause);
    this.over();
  }

  #take(bytes: number): boolean {
    if (!this.#account.take(bytes, this.#held)) return false;
    this.#held += bytes;
    return true;
  }

  #drop(error: GatewayError): void {
    this.#isDropping = true;
    this.#body.fail(error);
    this.#body.clear();
  }
}

/** More than is held of all requests together. */
export function memoryFull(): GatewayError {
  return new GatewayError("memory_full", "the gateway holds as many bytes of requests as it may", {
    retryAfterSecs: 1,
  });
}
