import type { GatewayError } from "../../errors/errors.ts";
import type { UpstreamTimeouts } from "../upstream.ts";
import type { LeaveSignal } from "../../util/leave-signal.ts";

/** How a router talks to a worker over gRPC. One implementation speaks HTTP/2; tests pass their own. */

export interface GrpcCallOptions {
  /** On the transport's clock, ms: past it the call ends with `upstream_timeout`. The worker is told what is left of it. */
  readonly deadline: number;
  /** `firstByteMs` runs until the first message, `idleMs` between messages. */
  readonly timeouts: UpstreamTimeouts;
  /** Names in lower case. Values are ASCII; a binary one is base64 under a name that ends in `-bin`. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The message is compressed already, as `grpc-encoding` of the metadata says. */
  readonly isCompressed?: boolean;
  readonly signal?: LeaveSignal | undefined;
}

/** Takes the messages of a stream as they come. */
export interface MessageTaker {
  /** One or more that have come together, whose bytes are its own. False: no more for now. Never throws. */
  takeMessages(messages: readonly Uint8Array[]): boolean;
}

export interface GrpcStream {
  /** True once a message has come: from then on nothing may be sent again elsewhere. */
  readonly hasMessages: boolean;
  /**
   * The next message, at once where one is there already, `undefined` when the worker has ended with OK. Not reading
   * stops the worker: about 64 KiB are taken ahead. The bytes are the caller's to keep. One reader at a time.
   * Throws upstream_connect_failed, upstream_connect_timeout, upstream_not_reached, upstream_closed,
   * upstream_stale_socket, upstream_reset, upstream_truncated, upstream_stalled, upstream_timeout,
   * upstream_protocol_error, invalid_upstream_response, client_closed, and what a status means (`status.ts`).
   */
  read(): Uint8Array | undefined | Promise<Uint8Array | undefined>;
  /** All messages that are there, at least one, or none at the OK end. One turn of the loop for several messages. Throws as `read`. */
  readAvailable(): readonly Uint8Array[] | Promise<readonly Uint8Array[]>;
  /**
   * Hands over messages as they come, without a promise for each, until the taker says false, or the stream ends or fails, and
   * resolves then; `read` and `readAvailable` go on from there. One reader at a time.
   */
  follow(taker: MessageTaker): Promise<void>;
  /** Ends the call where it is; the worker sees it cancelled. */
  discard(): void;
}

export interface GrpcClient {
  /** Connections open to workers now. */
  readonly openSockets: number;
  /**
   * One message for one. `origin` is `grpc://host:port` or `grpcs://host:port`, `method` is a path such as `/package.Service/Method`.
   * Throws what `GrpcStream.read` throws.
   */
  unary(origin: string, method: string, request: Uint8Array, options: GrpcCallOptions): Promise<Uint8Array>;
  /** One message for many. Returns at once; that the worker cannot be reached is told by the first read. */
  serverStream(origin: string, method: string, request: Uint8Array, options: GrpcCallOptions): GrpcStream;
  /** Every call under way ends with this error, as if the worker had caused it. */
  failAll(error: GatewayError): void;
  /** A worker has left: no new calls on its connections, which close when those under way have ended. */
  forget(origin: string): void;
  /** A worker is spoken to with other certificates now: the next calls get new connections. */
  renew(origin: string): void;
}
