import type * as Tls from "node:tls";
import { lazy } from "../../util/lazy.ts";
import type { KeyPair } from "./certificate.ts";

const tls = lazy((): typeof Tls => require("node:tls"));

/** How one worker's TLS differs from that of all workers. Paths are those of files. */
export interface WorkerTlsSpec {
  /** The name that its certificate must be for, and that it is asked for (SNI), in place of the host of its address. */
  readonly serverName?: string | undefined;
  /** The authorities that may have signed its certificate, in place of all others. */
  readonly caCertPath?: string | undefined;
  readonly clientCertPath?: string | undefined;
  readonly clientKeyPath?: string | undefined;
  /** Takes any certificate: whoever is on the way can read and change everything. */
  readonly insecureSkipVerify?: boolean | undefined;
}

/** The TLS of all workers. Plain data, so that a thread can be sent it. */
export interface WorkersTls {
  /** Certificates (PEM) of authorities that are trusted beside the public ones. */
  readonly authorities: readonly string[];
  /** What the gateway shows to workers; undefined: nothing. */
  readonly pair: KeyPair | undefined;
  readonly serverName: string | undefined;
  /** Contents of the files that workers name, by path. */
  readonly files: Readonly<Record<string, string>>;
}

/** Options of one connection, for `Bun.connect` and `node:http2` alike. */
export interface WorkerTlsOptions {
  readonly rejectUnauthorized: boolean;
  readonly ca?: string[];
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
}

/** Workers' certificates must be of a public authority, or of one of NODE_EXTRA_CA_CERTS, and for the host of their address. */
export const PUBLIC_WORKERS: WorkersTls = { authorities: [], pair: undefined, serverName: undefined, files: {} };

/** With which certificates the gateway speaks to each worker. Both transports ask it for each connection. */
export class WorkerTls {
  readonly #specOf: (origin: string) => WorkerTlsSpec | undefined;
  readonly #known = new Map<string, WorkerTlsOptions>();
  #workers: WorkersTls;
  #trusted: readonly string[] | undefined;

  /** `specOf`: how the worker of an origin differs from the others. */
  constructor(workers: WorkersTls, specOf: (origin: string) => WorkerTlsSpec | undefined) {
    this.#workers = workers;
    this.#specOf = specOf;
    this.#trusted = trustedBy(workers);
  }

  /** The options for a connection to the worker of this origin. Throws an Error where a file that it names was not read. */
  of(origin: string): WorkerTlsOptions {
    const known = this.#known.get(origin);
    if (known) return known;
    const options = this.#optionsFor(this.#specOf(origin) ?? {});
    this.#known.set(origin, options);
    return options;
  }

  /** The worker has left, or its spec has changed. */
  forget(origin: string): void {
    this.#known.delete(origin);
  }

  /** From the next connection on. */
  replace(workers: WorkersTls): void {
    this.#workers = workers;
    this.#trusted = trustedBy(workers);
    this.#known.clear();
  }

  #optionsFor(spec: WorkerTlsSpec): WorkerTlsOptions {
    const { pair } = this.#workers;
    const serverName = spec.serverName ?? this.#workers.serverName;
    const ca = spec.caCertPath === undefined ? this.#trusted : [this.#file(spec.caCertPath)];
    const own = this.#pairOf(spec) ?? pair;
    return {
      rejectUnauthorized: spec.insecureSkipVerify !== true,
      ...(ca === undefined ? {} : { ca: [...ca] }),
      ...(own === undefined ? {} : { cert: own.cert, key: own.key }),
      ...(serverName === undefined ? {} : { servername: serverName }),
    };
  }

  #pairOf({ clientCertPath, clientKeyPath }: WorkerTlsSpec): KeyPair | undefined {
    if (clientCertPath === undefined || clientKeyPath === undefined) return undefined;
    return { cert: this.#file(clientCertPath), key: this.#file(clientKeyPath) };
  }

  #file(path: string): string {
    const text = this.#workers.files[path];
    if (text === undefined) throw new Error(`the file ${path} was not read`);
    return text;
  }
}

/** undefined where the runtime's own authorities are enough. */
function trustedBy({ authorities }: WorkersTls): readonly string[] | undefined {
  return authorities.length === 0 ? undefined : [...tls().getCACertificates("default"), ...authorities];
}
