import { GatewayError, tookTooLong, whyLeft } from "../../errors/errors.ts";
import { type Clock, systemClock } from "../../util/clock.ts";
import { Sweep, SWEEP_MS } from "../../util/sweep.ts";
import { PUBLIC_WORKERS, WorkerTls } from "../tls/worker-tls.ts";
import { type CallOwner, GrpcCall } from "./call.ts";
import { type ChannelOwner, GrpcChannel } from "./channel.ts";
import type { GrpcCallOptions, GrpcClient, GrpcStream } from "./grpc-client.ts";
import { GRPC_LIMITS, type GrpcLimits } from "./grpc-limits.ts";

/** gRPC to workers over `node:http2`: unary calls and server streams, which is all that engines have. */
export class GrpcTransport implements GrpcClient, ChannelOwner, CallOwner, Disposable {
  readonly #limits: GrpcLimits;
  readonly #clock: Clock;
  readonly #tls: Pick<WorkerTls, "of">;
  readonly #channels = new Map<string, GrpcChannel>();
  /** Of workers that have left: calls under way go on. */
  readonly #leaving = new Set<GrpcChannel>();
  readonly #sweep: Sweep;
  #isClosed = false;

  /** `tls`: says with which certificates workers are spoken to. */
  constructor(
    limits: GrpcLimits = GRPC_LIMITS,
    clock: Clock = systemClock,
    tls: Pick<WorkerTls, "of"> = new WorkerTls(PUBLIC_WORKERS, () => undefined),
  ) {
    this.#tls = tls;
    this.#limits = limits;
    this.#clock = clock;
    this.#sweep = new Sweep(clock, SWEEP_MS, (now) => this.#look(now));
  }

  now(): number {
    return this.#clock.now();
  }

  get openSockets(): number {
    let sum = 0;
    for (const channel of this.#all()) sum += channel.openSockets;
    return sum;
  }

  async unary(origin: string, method: string, request: Uint8Array, options: GrpcCallOptions): Promise<Uint8Array> {
    const stream = this.serverStream(origin, method, request, options);
    const first = await stream.read();
    if (first && (await stream.read()) === undefined) return first;
    stream.discard();
    throw new GatewayError("invalid_upstream_response", "the worker did not answer with one message");
  }

  serverStream(origin: string, method: string, message: Uint8Array, options: GrpcCallOptions): GrpcStream {
    const { maxMessageBytes } = this.#limits;
    const call = new GrpcCall({ origin, method, message, options, maxMessageBytes }, this, this.#clock.now());
    const refusal = this.#refusal(options);
    if (refusal) call.fail(refusal);
    else this.#channel(origin).send(call);
    return call;
  }

  failAll(error: GatewayError): void {
    for (const channel of this.#all()) channel.failAll(error);
  }

  forget(origin: string): void {
    const channel = this.#channels.get(origin);
    if (!channel) return;
    this.#channels.delete(origin);
    this.#leaving.add(channel);
    channel.drain();
  }

  renew(origin: string): void {
    this.#channels.get(origin)?.renew();
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#sweep[Symbol.dispose]();
    this.failAll(shuttingDown());
    for (const channel of this.#all()) channel.close();
  }

  watch(): void {
    this.#sweep.wake();
  }

  restart(call: GrpcCall): void {
    const { options, origin } = call.request;
    const refusal = this.#refusal(options);
    if (refusal) call.fail(refusal);
    else this.#channel(origin).send(call);
  }

  over(call: GrpcCall): void {
    this.#channels.get(call.request.origin)?.over(call);
  }

  #refusal({ deadline, signal }: GrpcCallOptions): GatewayError | undefined {
    if (this.#isClosed) return shuttingDown();
    if (signal?.aborted) return whyLeft(signal.reason);
    if (this.#clock.now() < deadline) return undefined;
    return tookTooLong();
  }

  #all(): readonly GrpcChannel[] {
    return [...this.#channels.values(), ...this.#leaving];
  }

  #channel(origin: string): GrpcChannel {
    const known = this.#channels.get(origin);
    if (known) return known;
    const channel = new GrpcChannel(origin, this.#tls, this.#limits.keepalive, this);
    this.#channels.set(origin, channel);
    return channel;
  }

  #look(now: number): boolean {
    let isUsed = false;
    for (const channel of this.#all()) {
      channel.check(now);
      if (!channel.isUnused) isUsed = true;
      else this.#leaving.delete(channel);
    }
    return isUsed;
  }
}

function shuttingDown(): GatewayError {
  return new GatewayError("server_shutting_down", "the gateway is shutting down");
}
