import type { Socket } from "bun";
import { GatewayError } from "../../errors/errors.ts";
import type { Exchange, ExchangeConnection } from "./exchange.ts";
import { isRefusal, isVerification, tlsFailureInWords } from "../tls/worker-failure.ts";
import type { WorkerTlsOptions } from "../tls/worker-tls.ts";
import type { PauseMs } from "./read-pauses.ts";

/** A head and a body that fit in here together leave in one write. The bytes are overwritten by the next request. */
const SCRATCH: Buffer = Buffer.allocUnsafeSlow(32_768);

/** What a connection needs of its socket. */
type WorkerSocket = Pick<Socket, "write" | "pause" | "resume" | "terminate">;

export interface WorkerConnectionOwner {
  now(): number;
  /** As `Clock.recent`. */
  recent(): number;
  /** The connection can take another request. */
  idle(connection: Connection): void;
  /** Calls `pauseOver` after so long at most. */
  pauseReads(connection: Connection, ms: PauseMs): void;
  /** Unasked bytes came: the worker's answers can no longer be matched to requests. */
  outOfStep(): void;
  /** The connection is gone. */
  gone(connection: Connection): void;
}

/**
 * One socket to a worker, one exchange at a time.
 *
 * ```
 * connecting -> busy <-> idle
 *      |         |        |
 *      +---------+--------+--> gone
 * ```
 */
export class Connection implements ExchangeConnection {
  /** When it became idle, on the owner's clock. */
  idleSince = 0;
  /** True once an answer has come back on it: a worker may close such a socket at any moment. */
  isReused = false;
  /** Resolves when requests may be written: with the socket open, under TLS with the worker's certificate accepted. */
  readonly ready: Promise<void>;
  readonly #ready = Promise.withResolvers<void>();
  readonly #owner: WorkerConnectionOwner;
  readonly #tls: WorkerTlsOptions | undefined;
  #socket: WorkerSocket | undefined;
  #exchange: Exchange | undefined;
  /** Bytes that the socket did not accept yet. */
  #unsent: Uint8Array | undefined;
  #isGone = false;
  #isReady = false;
  /** Reads stand still: the reader is slow, or a fast stream pauses. */
  #isHeld = false;
  #isPausing = false;

  /** `tls`: the options of its TLS; undefined where there is none. */
  constructor(tls: WorkerTlsOptions | undefined, owner: WorkerConnectionOwner) {
    this.#tls = tls;
    this.#owner = owner;
    this.ready = this.#ready.promise;
    // Without this, an error that no request waits for would end the process.
    this.ready.catch(() => undefined);
  }

  /** Open, and carrying nothing. */
  get isIdle(): boolean {
    return this.#socket !== undefined && this.#exchange === undefined && this.isReused;
  }

  /** Closed or broken: no request may be started on it any more. */
  get isGone(): boolean {
    return this.#isGone;
  }

  get exchange(): Exchange | undefined {
    return this.#exchange;
  }

  opened(socket: WorkerSocket): void {
    this.#socket = socket;
    // The request that this connection was made for may have been given up meanwhile.
    if (this.#isGone) socket.terminate();
    else if (!this.#tls) this.#becomeReady();
  }

  /** The end of the TLS handshake. Nothing is written before it: it would be lost, or read by a stranger. */
  handshaken(error: Error | null): void {
    const isUnchecked = this.#tls?.rejectUnauthorized === false;
    if (!error || (isUnchecked && isVerification(error))) {
      this.#becomeReady();
      return;
    }
    this.#ready.reject(tlsFailureInWords(error));
    this.close();
  }

  #becomeReady(): void {
    this.#isReady = true;
    this.#ready.resolve();
  }

  /** Writes the request. The connection must be ready, idle and not gone: on one that is gone nobody would end the exchange. */
  start(exchange: Exchange, head: string, now: number): void {
    this.#exchange = exchange;
    exchange.started(this, now);
    const { body } = exchange.request;
    if (head.length + (body?.length ?? 0) > SCRATCH.length) {
      this.#write(Buffer.from(head, "latin1"));
      if (body) this.#write(body);
      return;
    }
    const at = SCRATCH.write(head, 0, "latin1");
    if (body) SCRATCH.set(body, at);
    this.#write(SCRATCH, at + (body?.length ?? 0));
  }

  received(bytes: Buffer): void {
    if (this.#exchange) this.#exchange.receive(bytes);
    else this.#unasked(bytes);
  }

  #unasked(bytes: Buffer): void {
    this.close();
    // Some servers say 408 before they close a socket on which nothing was asked (RFC 9110, section 15.5.9).
    if (!REQUEST_TIMEOUT.test(bytes.toString("latin1", 0, REQUEST_TIMEOUT_BYTES))) this.outOfStep();
  }

  drained(): void {
    const rest = this.#unsent;
    if (!rest) return;
    this.#unsent = undefined;
    this.#write(rest);
  }

  ended(): void {
    const exchange = this.#exchange;
    this.#becomeGone();
    if (exchange && this.isReused && !exchange.hasBytes) exchange.fail(staleSocket());
    // The runtime does not tell TLS's own word for the end from a connection that somebody on the way has cut.
    else exchange?.closed(this.#tls === undefined);
  }

  /** The socket broke: reset, TLS failure, or time-out of the system. */
  broke(cause: unknown): void {
    const exchange = this.#exchange;
    this.#becomeGone();
    if (!exchange) return;
    const why = this.#tls ? tlsFailureInWords(cause) : cause;
    if (isRefusal(cause) && !this.isReused && !exchange.hasBytes) {
      exchange.fail(new GatewayError("upstream_connect_failed", "the worker could not be reached", { cause: why }));
    } else if (this.isReused && !exchange.hasBytes) exchange.fail(staleSocket());
    else
      exchange.fail(
        exchange.isBegun
          ? new GatewayError("upstream_reset", "the connection to the worker broke", { cause: why })
          : new GatewayError("upstream_closed", "the connection to the worker broke before it answered", {
              cause: why,
            }),
      );
  }

  outOfStep(): void {
    this.#owner.outOfStep();
  }

  now(): number {
    return this.#owner.now();
  }

  pause(): void {
    this.#isHeld = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.#isHeld = false;
    if (!this.#isPausing) this.#socket?.resume();
  }

  pauseReads(ms: PauseMs): void {
    if (this.#isPausing || this.#isHeld) return;
    this.#isPausing = true;
    this.#socket?.pause();
    this.#owner.pauseReads(this, ms);
  }

  /** The pause of a fast stream is over. */
  pauseOver(): void {
    this.#isPausing = false;
    if (!this.#isHeld) this.#socket?.resume();
  }

  release(reusable: boolean): void {
    this.#exchange = undefined;
    if (!reusable || this.#unsent || this.#isGone) {
      this.close();
      return;
    }
    this.isReused = true;
    this.idleSince = this.#owner.recent();
    this.#owner.idle(this);
  }

  /** Closes the connection after a wrong answer, unless it carries another request already. */
  closeIfIdle(): void {
    if (this.isIdle) this.close();
  }

  /** Nothing may be under way on it: an exchange is ended by `fail`, which closes its connection. */
  close(): void {
    const socket = this.#socket;
    this.#becomeGone();
    // Not end(): a worker that is still generating must see at once that nobody listens.
    socket?.terminate();
  }

  #becomeGone(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    // An error is not made for nothing: its stack costs more than the rest of the end.
    if (!this.#isReady) this.#ready.reject(new Error("the connection ended before it could be used"));
    this.#exchange = undefined;
    this.#socket = undefined;
    this.#unsent = undefined;
    this.#owner.gone(this);
  }

  /** The first `length` of the bytes. */
  #write(bytes: Uint8Array, length = bytes.length): void {
    if (this.#unsent) {
      this.#unsent = Buffer.concat([this.#unsent, bytes.subarray(0, length)]);
      return;
    }
    const socket = this.#socket;
    if (!socket) return;
    const written = socket.write(bytes, 0, length);
    if (written < 0 || written >= length) return;
    const rest = bytes.subarray(written, length);
    this.#unsent = bytes === SCRATCH ? Buffer.from(rest) : rest;
  }
}

const REQUEST_TIMEOUT = /^HTTP\/1\.[01] 408 /;
const REQUEST_TIMEOUT_BYTES = 13;

function staleSocket(): GatewayError {
  return new GatewayError("upstream_stale_socket", "the worker closed the connection before it answered");
}
