import { type ClientHttp2Session, connect } from "node:http2";
import { GatewayError } from "../../errors/errors.ts";
import { tlsFailureInWords } from "../tls/worker-failure.ts";
import type { WorkerTlsOptions } from "../tls/worker-tls.ts";
import type { CallConnection, GrpcCall } from "./call.ts";
import { frameMessage } from "./message-framer.ts";
import { grpcTimeout } from "./metadata.ts";
import { USER_AGENT } from "../../util/version.ts";

/**
 * What a worker may send, on a stream and on the connection, before it hears of us. A stream that nobody reads stops at it and
 * does not hold up the others: the connection's share is given back as bytes arrive. The two must be the same: with the
 * connection's set larger, a stream's is not given back before that much has come, so it stands still (Bun 1.4.5).
 */
const WINDOW_BYTES = 262_144;
/** Longest head and trailers of an answer, as for HTTP/1.1. */
const MAX_HEAD_BYTES = 16_384;
/** What a gRPC server says in the GOAWAY of a connection that it finds asked too often. */
const TOO_MANY_PINGS = "too_many_pings";
const NO_GOAWAY = Number.POSITIVE_INFINITY;

export interface Keepalive {
  /** With calls under way and nothing heard for this long, the worker is asked for a sign of life, ms. */
  readonly intervalMs: number;
  /** How long it has for the sign, ms. */
  readonly timeoutMs: number;
}

export interface GrpcConnectionOwner {
  now(): number;
  /** It can take calls. */
  ready(connection: GrpcConnection): void;
  /** A call on it has ended, so it can take another one. */
  freed(connection: GrpcConnection): void;
  /** It is gone, or takes no new calls. `failure` where it never came to be. */
  gone(connection: GrpcConnection, failure: unknown): void;
  /** The worker finds that it is asked for signs of life too often. */
  pingsTooOften(): void;
}

/**
 * One HTTP/2 connection to a worker and the calls on it.
 *
 * ```
 * connecting -> open -> draining -> gone
 *      |          |                  ^
 *      +----------+------------------+
 * ```
 */
export class GrpcConnection implements CallConnection {
  readonly origin: string;
  lastStreamId = NO_GOAWAY;
  isReused = false;
  readonly #owner: GrpcConnectionOwner;
  readonly #session: ClientHttp2Session;
  readonly #authority: string;
  readonly #scheme: string;
  readonly #connectDeadline: number;
  readonly #calls = new Set<GrpcCall>();
  #state: "connecting" | "open" | "draining" | "gone" = "connecting";
  #isLate = false;
  #maxStreams = 0;
  #failure: unknown;
  /** When the worker was last heard, and the last ping sent that is not answered, on the owner's clock. */
  #heardAt: number;
  #pingedAt: number | undefined;
  #idleSince: number;

  /** `tls`: the options of its TLS; undefined where there is none. */
  constructor(origin: string, tls: WorkerTlsOptions | undefined, connectDeadline: number, owner: GrpcConnectionOwner) {
    const isTls = tls !== undefined;
    this.origin = origin;
    this.#owner = owner;
    this.#connectDeadline = connectDeadline;
    this.#scheme = isTls ? "https" : "http";
    this.#authority = origin.slice(origin.indexOf("//") + 2);
    this.#heardAt = owner.now();
    this.#idleSince = this.#heardAt;
    const url = withPort(`${this.#scheme}://${this.#authority}`, isTls);
    this.#session = connect(url, {
      ...tls,
      settings: { enablePush: false, initialWindowSize: WINDOW_BYTES, maxHeaderListSize: MAX_HEAD_BYTES },
    });
    this.#session.on("connect", () => this.#session.setLocalWindowSize(WINDOW_BYTES));
    this.#session.on("remoteSettings", (settings) => this.#told(settings.maxConcurrentStreams));
    this.#session.on("goaway", (_code, lastStreamId, words) => this.#sentAway(lastStreamId, words));
    this.#session.on("error", (error) => {
      this.#failure = tlsFailureInWords(error);
    });
    this.#session.on("close", () => this.#becomeGone());
  }

  get isConnecting(): boolean {
    return this.#state === "connecting";
  }

  get isLost(): boolean {
    return this.#session.destroyed;
  }

  /** It takes no new calls and ends with the last of those that it has. */
  get isDraining(): boolean {
    return this.#state === "draining";
  }

  /** It did not come to be in the time that it had. */
  get isLate(): boolean {
    return this.#isLate;
  }

  get calls(): ReadonlySet<GrpcCall> {
    return this.#calls;
  }

  /** Calls that it can take besides those it has. */
  get room(): number {
    return this.#state === "open" ? this.#maxStreams - this.#calls.size : 0;
  }

  /** Sends the request. The connection must have room. False where it turned out to be of no use. */
  start(call: GrpcCall): boolean {
    const { method, message, options } = call.request;
    const now = this.#owner.now();
    const timeout = grpcTimeout(options.deadline - now);
    try {
      const stream = this.#session.request({
        ":method": "POST",
        ":scheme": this.#scheme,
        ":authority": this.#authority,
        ":path": method,
        te: "trailers",
        "content-type": "application/grpc",
        "user-agent": USER_AGENT,
        ...(timeout === undefined ? undefined : { "grpc-timeout": timeout }),
        ...options.metadata,
      });
      if (this.#calls.size === 0) this.#heardAt = now;
      this.#calls.add(call);
      call.started(this, stream, now);
      stream.end(frameMessage(message, options.isCompressed));
      return true;
    } catch (error) {
      // It broke since we last heard of it: its `close` is on the way.
      this.#failure ??= error;
      this.#calls.delete(call);
      this.drain();
      return false;
    }
  }

  release(call: GrpcCall): void {
    this.#calls.delete(call);
    this.isReused = true;
    if (this.#calls.size === 0) this.#idleSince = this.#owner.now();
    this.#owner.freed(this);
  }

  /** Called now and then with the time. */
  check(now: number, keepalive: Keepalive, maxIdleMs: number): void {
    if (this.#state === "connecting") {
      if (now < this.#connectDeadline) return;
      this.#isLate = true;
      this.close();
      return;
    }
    let isHeard = false;
    for (const call of this.#calls) {
      isHeard = call.checkDeadlines(now) || isHeard;
    }
    if (isHeard) this.#heard(now);
    if (this.#calls.size > 0) this.#checkAlive(now, keepalive);
    else if (now - this.#idleSince >= maxIdleMs) this.close();
  }

  /** No new calls; closes when those under way have ended. */
  drain(): void {
    if (this.#state === "gone" || this.#state === "draining") return;
    this.#state = "draining";
    this.#session.close();
    this.#owner.gone(this, undefined);
  }

  close(): void {
    this.#session.destroy();
    this.#becomeGone();
  }

  /** The worker's settings have come: without them it may be anything that accepts connections. */
  #told(maxStreams: number | undefined): void {
    this.#maxStreams = maxStreams ?? NO_GOAWAY;
    if (this.#state !== "connecting") {
      this.#owner.freed(this);
      return;
    }
    this.#state = "open";
    this.#owner.ready(this);
  }

  #sentAway(lastStreamId: number, words: Uint8Array | undefined): void {
    this.lastStreamId = lastStreamId;
    if (words && Buffer.from(words).toString() === TOO_MANY_PINGS) this.#owner.pingsTooOften();
    this.drain();
  }

  #heard(now: number): void {
    this.#heardAt = now;
    this.#pingedAt = undefined;
  }

  #checkAlive(now: number, { intervalMs, timeoutMs }: Keepalive): void {
    if (this.#pingedAt !== undefined) {
      if (now - this.#pingedAt >= timeoutMs) this.#presumeDead();
    } else if (now - this.#heardAt >= intervalMs) {
      this.#pingedAt = now;
      this.#session.ping((error) => {
        if (!error) this.#heard(this.#owner.now());
      });
    }
  }

  #presumeDead(): void {
    for (const call of this.#calls) call.fail(call.silence());
    this.close();
  }

  #becomeGone(): void {
    if (this.#state === "gone") return;
    const wasConnecting = this.#state === "connecting";
    this.#state = "gone";
    // Streams that lived on it have told their calls already, or will in this turn.
    this.#owner.gone(this, wasConnecting ? (this.#failure ?? new Error("closed before it was open")) : undefined);
  }
}

/** Without a port a URL means the one of its scheme, and there `node:http2` agrees; written out it is the same for all. */
function withPort(url: string, isTls: boolean): string {
  return new URL(url).port === "" ? `${url}:${isTls ? 443 : 80}` : url;
}

/** Why a worker cannot be reached. */
export function unreachable(cause: unknown): GatewayError {
  return new GatewayError("upstream_connect_failed", "the worker could not be reached", { cause });
}
