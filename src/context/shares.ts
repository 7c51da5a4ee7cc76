import type { Config } from "../config/schema.ts";
import { bound } from "./bounds.ts";
import { clientConnectionLimit } from "../util/descriptor-limit.ts";

/** What one serving unit may have of what the whole gateway may. These bounds are divided by the number of units, no others. */
export interface Shares {
  /** Bytes of requests that are held at once. */
  readonly bytesInFlight: number;
  /** Client connections at once; read anew each time, as the limit of the process may change. */
  readonly clientConnections: () => number;
  /** Connections to one worker at once; Infinity for no bound. */
  readonly connectionsPerWorker: number;
  /** Second attempts a second that are allowed however few requests there are. */
  readonly retriesPerSec: number;
}

/** Each of them, in the words of docs/architecture.md. */
export const SHARED_BOUNDS: Readonly<Record<keyof Shares, string>> = {
  bytesInFlight: "bytes in flight",
  clientConnections: "connections of clients",
  connectionsPerWorker: "connections to a worker",
  retriesPerSec: "the floor of second attempts",
};

/** Second attempts a second for the whole gateway, beside the share of its requests. */
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
