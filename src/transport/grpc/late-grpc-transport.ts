import type { GatewayError } from "../../errors/errors.ts";
import type { Clock } from "../../util/clock.ts";
import { lazy } from "../../util/lazy.ts";
import type { WorkerTls } from "../tls/worker-tls.ts";
import type { GrpcCallOptions, GrpcClient, GrpcStream } from "./grpc-client.ts";
import type { GrpcLimits } from "./grpc-limits.ts";
import type * as Transport from "./grpc-transport.ts";

const load = lazy((): typeof Transport => require("./grpc-transport.ts"));

/** A `GrpcTransport` that is loaded and made with the first call: most gateways have no gRPC workers. */
export class LateGrpcTransport implements GrpcClient, Disposable {
  readonly #make: () => Transport.GrpcTransport;
  #made: Transport.GrpcTransport | undefined;
  #isClosed = false;

  constructor(limits: GrpcLimits, clock: Clock, tls: Pick<WorkerTls, "of">) {
    this.#make = () => new (load().GrpcTransport)(limits, clock, tls);
  }

  get openSockets(): number {
    return this.#made?.openSockets ?? 0;
  }

  unary(origin: string, method: string, request: Uint8Array, options: GrpcCallOptions): Promise<Uint8Array> {
    return this.#transport().unary(origin, method, request, options);
  }

  serverStream(origin: string, method: string, request: Uint8Array, options: GrpcCallOptions): GrpcStream {
    return this.#transport().serverStream(origin, method, request, options);
  }

  failAll(error: GatewayError): void {
    this.#made?.failAll(error);
  }

  forget(origin: string): void {
    this.#made?.forget(origin);
  }

  renew(origin: string): void {
    this.#made?.renew(origin);
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#made?.[Symbol.dispose]();
  }

  #transport(): Transport.GrpcTransport {
    if (this.#made) return this.#made;
    this.#made = this.#make();
    // One that is closed refuses each call.
    if (this.#isClosed) this.#made[Symbol.dispose]();
    return this.#made;
  }
}
