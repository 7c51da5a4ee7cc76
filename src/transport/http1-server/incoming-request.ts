import { clientClosed } from "../../errors/errors.ts";
import { LeaveController } from "../../util/leave-signal.ts";
import type { ClientRequest, RequestHeaders } from "../downstream.ts";
import type { RequestHead } from "./request-head.ts";

/** Bytes of a body that are taken ahead of its reader; beyond it the socket is paused. */
const MAX_BUFFERED_BYTES = 262_144;

/** What a request needs of its connection. */
export interface RequestConnection {
  pause(): void;
  resume(): void;
  /** Tells the client, which waits for that, to send the body. */
  sendContinue(): void;
}

interface Reader {
  resolve(value: Uint8Array | undefined): void;
  reject(error: unknown): void;
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
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #reader: Reader | undefined;
  #isWhole: boolean;
  #isDropping = false;
  #isPaused = false;
  #failure: unknown;

  constructor(head: RequestHead, connection: RequestConnection) {
    this.method = head.method;
    this.path = head.path;
    this.query = head.query;
    this.headers = head.headers;
    this.hasBody = head.hasBody;
    this.isHttp11 = head.isHttp11;
    this.keepAlive = head.keepAlive;
    this.#expectsContinue = head.expectsContinue;
    this.#isWhole = !head.hasBody;
    this.#connection = connection;
  }

  /** Whether the client still waits for leave to send its body, and may send it or not. */
  get isAwaitingContinue(): boolean {
    return this.#expectsContinue && !this.#isWhole;
  }

  read(): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    const next = this.#queue.shift();
    if (next) {
      this.#queuedBytes -= next.length;
      if (this.#isPaused && this.#queuedBytes < MAX_BUFFERED_BYTES / 2) this.#resume();
      return next;
    }
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#isWhole) return undefined;
    if (this.#expectsContinue) {
      this.#expectsContinue = false;
      this.#connection.sendContinue();
    }
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  /** The next bytes of the body; their memory is ours. */
  offer(bytes: Uint8Array): void {
    this.#expectsContinue = false;
    if (this.#isDropping) return;
    const reader = this.#reader;
    if (reader) {
      this.#reader = undefined;
      reader.resolve(bytes);
      return;
    }
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    if (!this.#isPaused && this.#queuedBytes > MAX_BUFFERED_BYTES) {
      this.#isPaused = true;
      this.#connection.pause();
    }
  }

  /** The body is whole. */
  end(): void {
    this.#isWhole = true;
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.resolve(undefined);
  }

  /** The body never will be. */
  fail(error: unknown): void {
    this.#failure ??= error;
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.reject(this.#failure);
  }

  /** The answer is given: nobody reads the rest of the body, and who still waits for it gets none. */
  drop(): void {
    this.#isDropping = true;
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.reject(clientClosed("the request was answered before its end"));
    this.#queue = [];
    this.#queuedBytes = 0;
    if (this.#isPaused) this.#resume();
  }

  /** The client has left. */
  leave(cause: unknown): void {
    if (!this.#isWhole) this.fail(clientClosed(cause));
    this.signal.leave(cause);
  }

  #resume(): void {
    this.#isPaused = false;
    this.#connection.resume();
  }
}
