import type { Config } from "../config/schema.ts";
import { bound } from "./bounds.ts";
import { clientConnectionLimit } from "../util/descriptor-limit.ts";

/** The bounds of one serving unit. These bounds, and no others, are the gateway's bounds divided by the number of units. */
export interface Shares {
  /** Bytes of requests that are held at once. */
  readonly bytesInFlight: number;
  /** Most client connections at once. It is computed at each call, because the limit of the process may change. */
  readonly clientConnections: () => number;
  /** Most connections to one worker at once; Infinity for no bound. */
  readonly connectionsPerWorker: number;
  /** Second attempts a second that are always allowed. */
  readonly retriesPerSec: number;
}

/** The name of each bound in docs/architecture.md. */
export const SHARED_BOUNDS: Readonly<Record<keyof Shares, string>> = {
  bytesInFlight: "bytes in flight",
  clientConnections: "connections of clients",
  connectionsPerWorker: "connections to a worker",
  retriesPerSec: "the floor of second attempts",
};

/** Second attempts a second for the whole gateway, in addition to a share of its requests. */
const RETRIES_PER_SEC = 10;

/** The share of one of `units` serving units. */
export function sharesOf(config: Config, units: number): Shares {
  const { maxConnectionsPerWorker, maxRequestBytesInFlight } = config;
  return {
    bytesInFlight: maxRequestBytesInFlight / units,
    clientConnections: () => clientConnectionLimit() / units,
    connectionsPerWorker: Math.ceil(bound(maxConnectionsPerWorker) / units),
    retriesPerSec: RETRIES_PER_SEC / units,
  };
}
