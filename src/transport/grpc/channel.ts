import { GatewayError } from "../../errors/errors.ts";
import type { WorkerTls } from "../tls/worker-tls.ts";
import type { GrpcCall } from "./call.ts";
import { type GrpcConnectionOwner, GrpcConnection, type Keepalive, unreachable } from "./connection.ts";

/** Connections to one worker: one, unless the worker bounds the calls on a connection. */
const MAX_CONNECTIONS = 8;
/** A connection without calls is closed after this long. */
const MAX_IDLE_MS = 300_000;
/** A worker that was told of too many pings is asked this much less often. */
const SLOWER = 2;

export interface ChannelOwner {
  now(): number;
  /** There is something whose time has to be watched. */
  watch(): void;
}

/** The connections to one worker, and the calls that wait for one. */
export class GrpcChannel implements GrpcConnectionOwner {
  readonly #origin: string;
  readonly #tls: Pick<WorkerTls, "of">;
  readonly #owner: ChannelOwner;
  readonly #connections = new Set<GrpcConnection>();
  /** Connections that are no longer given calls and still have some. */
  readonly #draining = new Set<GrpcConnection>();
  /** First come, first served. */
  readonly #waiting = new Set<GrpcCall>();
  #keepalive: Keepalive;

  /** `tls`: asked for each connection, where the worker is spoken to with TLS. */
  constructor(origin: string, tls: Pick<WorkerTls, "of">, keepalive: Keepalive, owner: ChannelOwner) {
    this.#origin = origin;
    this.#tls = tls;
    this.#keepalive = keepalive;
    this.#owner = owner;
  }

  get openSockets(): number {
    return this.#connections.size + this.#draining.size;
  }

  get isUnused(): boolean {
    return this.openSockets === 0 && this.#waiting.size === 0;
  }

  /** Sends it on a connection that has room, or has it wait for one. */
  send(call: GrpcCall): void {
    this.#owner.watch();
    if (this.#waiting.size === 0) {
      for (const connection of this.#connections) if (connection.room > 0 && connection.start(call)) return;
    }
    this.#waiting.add(call);
    this.#connect(call);
  }

  /** The call is over, wherever it is. */
  over(call: GrpcCall): void {
    this.#waiting.delete(call);
  }

  failAll(error: GatewayError): void {
    for (const call of [...this.#waiting]) call.fail(error);
    for (const { calls } of [...this.#connections, ...this.#draining]) for (const call of [...calls]) call.fail(error);
  }

  /** The worker has left: calls under way go on, those that wait have nothing to wait for. */
  drain(): void {
    for (const call of [...this.#waiting]) call.fail(unreachable("the worker has left"));
    this.#waiting.clear();
    for (const connection of [...this.#connections]) {
      if (connection.calls.size === 0) connection.close();
      else connection.drain();
    }
  }

  /** The worker is spoken to with other certificates now: the next calls get new connections. */
  renew(): void {
    for (const connection of [...this.#connections]) {
      if (connection.isConnecting) continue;
      if (connection.calls.size === 0) connection.close();
      else connection.drain();
    }
  }

  close(): void {
    for (const connection of [...this.#connections, ...this.#draining]) connection.close();
  }

  /** Called now and then with the time. */
  check(now: number): void {
    for (const connection of [...this.#connections, ...this.#draining]) {
      connection.check(now, this.#keepalive, MAX_IDLE_MS);
    }
    for (const call of [...this.#waiting]) {
      call.checkDeadlines(now);
      if (now >= call.reachDeadline) call.fail(this.#unreached());
    }
  }

  now(): number {
    return this.#owner.now();
  }

  ready(connection: GrpcConnection): void {
    this.freed(connection);
  }

  freed(connection: GrpcConnection): void {
    for (const call of this.#waiting) {
      if (connection.room <= 0) break;
      this.#waiting.delete(call);
      if (!connection.start(call)) this.#waiting.add(call);
    }
    const [next] = this.#waiting;
    if (next) this.#connect(next);
  }

  gone(connection: GrpcConnection, failure: unknown): void {
    this.#connections.delete(connection);
    if (connection.calls.size > 0 && connection.isDraining) this.#draining.add(connection);
    else this.#draining.delete(connection);
    const [next] = this.#waiting;
    if (!next) return;
    if (failure === undefined) this.#connect(next);
    else if (this.#connections.size === 0) {
      const error = connection.isLate ? connectTimeout() : unreachable(failure);
      for (const call of [...this.#waiting]) call.fail(error);
    }
  }

  pingsTooOften(): void {
    const { intervalMs, timeoutMs } = this.#keepalive;
    this.#keepalive = { intervalMs: intervalMs * SLOWER, timeoutMs };
  }

  /** One connection at a time: the next one only when that one has no room either. */
  #connect(call: GrpcCall): void {
    if (this.#connections.size >= MAX_CONNECTIONS) return;
    for (const connection of this.#connections) if (connection.isConnecting) return;
    const tls = this.#origin.startsWith("grpcs:") ? this.#tls.of(this.#origin) : undefined;
    this.#connections.add(new GrpcConnection(this.#origin, tls, call.reachDeadline, this));
  }

  #unreached(): GatewayError {
    for (const connection of this.#connections) {
      // It is reached, and has as many calls as it takes.
      if (!connection.isConnecting) {
        return new GatewayError("upstream_busy", "the workers are at capacity; try again later", { retryAfterSecs: 1 });
      }
    }
    return connectTimeout();
  }
}

function connectTimeout(): GatewayError {
  return new GatewayError("upstream_connect_timeout", "the worker did not accept the connection in time");
}
