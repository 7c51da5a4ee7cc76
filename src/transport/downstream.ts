import type { GatewayError } from "../errors/errors.ts";
import type { FieldReader, HeaderReader } from "../util/header-reader.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";

/** A client's request and its answer, as the server and the code that answers see them. They come over HTTP/1.1, or as messages of another thread. */

/** All fields of a message. A Map fits it by shape. */
interface FieldList extends FieldReader {
  entries(): Iterable<[name: string, value: string]>;
}

/** Header fields of a request, as they came. */
export class RequestHeaders implements HeaderReader {
  readonly #fields: FieldList;

  constructor(fields: FieldList) {
    this.#fields = fields;
  }

  get(name: string): string | null {
    return this.#fields.get(name) ?? null;
  }

  has(name: string): boolean {
    return this.#fields.has(name);
  }

  entries(): [name: string, value: string][] {
    return [...this.#fields.entries()];
  }
}

export interface ClientRequest {
  readonly method: string;
  /** The path of the request line, up to the question mark, neither decoded nor normalised. */
  readonly path: string;
  /** The part behind the question mark, not decoded. */
  readonly query: string;
  readonly headers: RequestHeaders;
  /** Address of the socket's other end: of the client, or of a proxy before it. */
  readonly peerAddress: string;
  /** Aborted when the client leaves, and by `giveUp`: see `whyLeft`. */
  readonly signal: LeaveSignal;
  /** A body is announced: by its length, or in chunks. */
  readonly hasBody: boolean;
  /** The whole body has arrived, read or not. */
  readonly isWhole: boolean;
  /**
   * The next bytes of the body, at once where they are there already, `undefined` at its end. Not reading stops the
   * client. The bytes are the caller's to keep, and are counted (`heldBy` of each piece) until the request is over. Throws
   * client_closed, memory_full, and malformed_request where its framing is wrong.
   */
  read(): Uint8Array | undefined | Promise<Uint8Array | undefined>;
  /** Counts bytes that are made of the body, until the request is over. Throws memory_full, client_closed. */
  hold(bytes: number): void;
  /** Counts so many bytes less, as they are no longer kept. */
  letGo(bytes: number): void;
  /**
   * Ends the work on the request through its signal, and the wait for its body. The client is still there and is told why. Only requests that
   * come from a client's connection have it.
   */
  giveUp?(error: GatewayError): void;
}

/** Takes an answer that is written piece by piece. */
export interface ReplySink {
  /** Takes the bytes, or those from `from` up to `to`, which are the caller's again at once. Resolves when the client can take more; undefined where it can now. Not awaiting it buffers without end. */
  write(bytes: Uint8Array, from?: number, to?: number): Promise<void> | undefined;
  /** Ends the connection where it is, so that the client sees that the answer is not whole. */
  breakOff(): void;
}

export interface ReplyStream {
  /**
   * Writes the answer; it is over when the promise resolves. Called once, also where the client has left meanwhile: then
   * what is written goes nowhere. A rejection breaks the connection off.
   */
  run(sink: ReplySink): Promise<void>;
}

export function isReplyStream(body: Reply["body"]): body is ReplyStream {
  return typeof body === "object" && "run" in body;
}

export interface Reply {
  readonly status: number;
  /** Names in lower case, without those of framing (length, encoding, connection, date). */
  readonly headers: Record<string, string>;
  /** Further header fields as lines, each with its CRLF. Whoever sets them vouches for their form: they are made of names and numbers. */
  lines?: string;
  readonly body: Uint8Array | string | ReplyStream;
  /** The connection is not used for another request. */
  endsConnection?: boolean;
}

/** A reply whose body is there from the start. */
export interface WholeReply extends Reply {
  readonly body: Uint8Array | string;
}

interface ReplyInit {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export function jsonReply(value: unknown, { status = 200, headers = {} }: ReplyInit = {}): WholeReply {
  return { status, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(value) };
}

export function textReply(text: string, { status = 200, headers = {} }: ReplyInit = {}): WholeReply {
  return { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers }, body: text };
}
