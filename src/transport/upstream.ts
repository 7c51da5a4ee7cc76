import type { FieldReader } from "../util/header-reader.ts";
import type { GatewayError } from "../errors/errors.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";

/** How a router talks to a worker over HTTP. One implementation speaks HTTP/1.1; tests pass their own. */

export interface UpstreamTimeouts {
  /** From the first try to connect to an open socket, ms. */
  readonly connectMs: number;
  /** From the request written to the first byte of the answer, ms. */
  readonly firstByteMs: number;
  /** Longest silence within an answer while we are ready to read, ms. */
  readonly idleMs: number;
}

export interface UpstreamRequest {
  /** Scheme, host and port, as in the registry. */
  readonly origin: string;
  readonly method: string;
  /** Path and query, beginning with a slash. */
  readonly path: string;
  /** Header lines, each ended by CRLF, names in lower case, without Host and Content-Length. Made by `headerLine`. */
  readonly headers: string;
  readonly body: Uint8Array | undefined;
  readonly timeouts: UpstreamTimeouts;
  /** On the transport's clock, ms: past it the exchange ends with `upstream_timeout`, wherever it is. */
  readonly deadline: number;
  /** The time on the transport's clock, ms, where the caller has read it a moment ago. */
  readonly now?: number | undefined;
  /** The socket carries no other request after this one and is closed when the answer is whole. */
  readonly isLast?: true;
}

/** Takes the pieces of a body as they come. */
export interface PieceTaker {
  /**
   * A piece lies in `bytes`, which are its own, from `from` up to `to`. `at`: when it came, ms on the clock; now, if it is left out. False:
   * no more for now. Never throws.
   */
  take(bytes: Uint8Array, from: number, to: number, at?: number): boolean;
}

export interface UpstreamResponse {
  readonly status: number;
  /** Names in lower case; where a name came twice the values are joined with `, `. */
  readonly headers: FieldReader;
  /**
   * The next bytes, at once where they are there already, `undefined` at the end of the body. Not reading stops the
   * worker: at most `maxBufferedBytes` are taken ahead. The bytes are the caller's to keep.
   * Throws upstream_stalled, upstream_timeout, upstream_truncated, upstream_reset, upstream_protocol_error.
   */
  read(): Uint8Array | undefined | Promise<Uint8Array | undefined>;
  /**
   * Hands over each piece as it comes, without a promise for each. Resolves when the taker says false, and when the body
   * ends or fails; `read` goes on from there. Without it, or where it returns undefined, the body can only be read.
   */
  follow?(taker: PieceTaker): Promise<void> | undefined;
  /** The whole body, at once where it is there. Throws what `read` throws, and invalid_upstream_response past `maxBytes`. */
  bytes(maxBytes: number): Uint8Array | Promise<Uint8Array>;
  /** Ends the exchange: the worker sees its connection close. After the end of the answer it closes the connection if it is still idle. */
  discard(): void;
}

export interface Transport {
  /** Sockets open to workers now. */
  readonly openSockets: number;
  /** Ends every exchange under way with this error. */
  failAll(error: GatewayError): void;
  /** A worker has left: closes its idle sockets and forgets it. */
  forget(origin: string): void;
  /**
   * Sends a request and waits for the head of the answer. Never follows a redirect, decodes a body or repeats a
   * request. Throws upstream_connections_full, upstream_connect_failed, upstream_connect_timeout, upstream_closed, upstream_timeout,
   * upstream_protocol_error; and client_closed when the signal is aborted, before and after the head.
   */
  send(request: UpstreamRequest, signal: LeaveSignal | undefined): Promise<UpstreamResponse>;
}

/** One header line. Throws on a name or value that could end the line; callers pass validated values. */
export function headerLine(name: string, value: string): string {
  if (FORBIDDEN_IN_VALUE.test(value)) throw new RangeError(`header ${name} has a control character`);
  return `${name}: ${value}\r\n`;
}

// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const FORBIDDEN_IN_VALUE = /[\u0000-\u0008\u000a-\u001f\u007f]|[^\u0000-\u00ff]/;
