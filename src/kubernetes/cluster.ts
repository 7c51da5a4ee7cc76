import { readFileSync } from "node:fs";

/** Where an API server is, and how it is spoken to. */
export interface Cluster {
  /** Origin of the API server, no trailing slash. */
  readonly url: string;
  /** Namespace of the gateway itself, or of the kubeconfig's context. */
  readonly namespace: string;
  /** Certificates for the next request. Files are read anew each time, as authorities and clients' certificates are replaced while the gateway runs. Throws ClusterError. */
  readonly tls: () => ClusterTls;
  /** The bearer token for the next request; undefined: none. Read anew each time, as tokens in the cluster are replaced every hour. Throws ClusterError. */
  readonly token: () => string | undefined;
}

/** In PEM. Absent parts are those of the system. */
export interface ClusterTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
  readonly rejectUnauthorized?: boolean;
}

/** A sentence for the operator: why the cluster cannot be spoken to. */
export class ClusterError extends Error {}

/** Text of a file. Throws ClusterError, which says what the file is for. */
export function readText(path: string, what: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new ClusterError(`${what} cannot be read: ${path} (${code})`, { cause });
  }
}
