import { expect } from "bun:test";
import { type ErrorCode, GatewayError } from "../../src/errors/errors.ts";
import type { GrpcCallOptions, GrpcStream } from "../../src/transport/grpc/grpc-client.ts";
import { GRPC_LIMITS, type GrpcLimits } from "../../src/transport/grpc/grpc-limits.ts";
import { GrpcTransport } from "../../src/transport/grpc/grpc-transport.ts";

import type { WorkerTls } from "../../src/transport/tls/worker-tls.ts";

/** Bounds that no test waits for. */
export const PATIENT = { connectMs: 5000, firstByteMs: 10_000, idleMs: 10_000 };

export function startTransport(limits: Partial<GrpcLimits> = {}, tls?: WorkerTls): GrpcTransport {
  return new GrpcTransport({ ...GRPC_LIMITS, ...limits }, undefined, tls);
}

/** Options with time enough for everything, unless said otherwise. */
export function callOptions(transport: GrpcTransport, own: Partial<GrpcCallOptions> = {}): GrpcCallOptions {
  return { deadline: transport.now() + 20_000, timeouts: PATIENT, ...own };
}

/** Every message up to the OK end. */
export async function readAll(stream: GrpcStream): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for (;;) {
    const message = await stream.read();
    if (!message) return all;
    all.push(message);
  }
}

/** The error that it fails with. */
export async function failure(outcome: Promise<unknown>): Promise<GatewayError> {
  const thrown: unknown = await outcome.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(GatewayError);
  return thrown as GatewayError;
}

export async function failureCode(outcome: Promise<unknown>): Promise<ErrorCode> {
  return (await failure(outcome)).code;
}
