import { clientClosed, GatewayError } from "../../errors/errors.ts";
import { LeaveController } from "../../util/leave-signal.ts";
import type { ClientRequest, RequestHeaders } from "../downstream.ts";
import { heldBy, PieceQueue, type PieceSource } from "../http1/piece-queue.ts";
import type { ByteAccount } from "./byte-account.ts";
import type { RequestHead } from "./request-head.ts";

/** Most bytes of a body that wait for their reader. With more the socket is paused. */
const MAX_BUFFERED_BYTES = 262_144;

/** What a request needs of its connection. */
export interface RequestConnection extends PieceSource {
  readonly peerAddress: string;
  /** Sends 100 (Continue): the client waits for it before it sends the body. */
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
  /** Bytes that the account counts for this request. */
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

  /** The client waits for 100 (Continue), so its body may never come. */
  get isAwaitingContinue(): boolean {
    return this.#expectsContinue && !this.#body.isEnded;
  }

  get peerAddress(): string {
    return this.#connection.peerAddress;
  }

  get isWhole(): boolean {
    return this.#body.isEnded;
  }

  /** The socket is paused, as too much of the body is unread. */
  get isFull(): boolean {
    return this.#body.isPaused;
  }

  /** Memory of the unread part of the body, bytes. */
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

  /** The request is over: its bytes are no longer counted. */
  over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#held > 0) this.#account.giveBack(this.#held);
  }

  /** The body is whole. */
  end(): void {
    this.#body.end();
  }

  /** The body will not arrive whole. */
  fail(error: unknown): void {
    this.#body.fail(error);
  }

  /** The request was answered: the rest of its body is dropped, and a reader that waits for it gets an error. */
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

/** The gateway holds as many bytes of requests as it may. */
export function memoryFull(): GatewayError {
  return new GatewayError("memory_full", "the gateway holds as many bytes of requests as it may", {
    retryAfterSecs: 1,
  });
}
