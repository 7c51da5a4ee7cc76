import type { Keepalive } from "./connection.ts";

/** Bounds of gRPC to workers. */
export interface GrpcLimits {
  /** Longest message that is taken from a worker, bytes. */
  readonly maxMessageBytes: number;
  /** How a worker that stands still without closing anything is noticed. */
  readonly keepalive: Keepalive;
}

/** gRPC's own limit of 4 MiB is less than an embedding of a large batch or the log probabilities of a long answer. */
export const GRPC_LIMITS: GrpcLimits = {
  maxMessageBytes: 16_777_216,
  keepalive: { intervalMs: 30_000, timeoutMs: 10_000 },
};
