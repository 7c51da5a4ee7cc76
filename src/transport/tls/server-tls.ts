import type { TLSOptions } from "bun";
import type * as NodeTls from "node:tls";
import { lazy } from "../../util/lazy.ts";
import type { KeyPair } from "./certificate.ts";
import { ByServerName } from "./server-names.ts";

/** Only a choice by name needs it. */
const nodeTls = lazy((): typeof NodeTls => require("node:tls"));

/** The oldest version of TLS that a port speaks. */
export type TlsVersion = "1.2" | "1.3";

/** A certificate, and the host names that it is for: `example.com`, or `*.example.com` for any one label. */
export interface NamedPair {
  readonly pair: KeyPair;
  readonly names: readonly string[];
}

/** What a port needs to speak TLS. Plain data, so that a thread can be sent it. */
export interface PortTls {
  readonly pair: KeyPair;
  /** All certificates of the port, with `pair` first, by whose names one is chosen; undefined where every client gets `pair`. */
  readonly named?: readonly NamedPair[] | undefined;
  /** Certificates (PEM) of the authorities of which clients must have a certificate; undefined where they need none. */
  readonly clientCa: string | undefined;
  readonly minVersion: TlsVersion;
}

/**
 * The TLS of one port. Each connection is upgraded with the options that are in force when it is accepted, so that a new certificate
 * needs no new listener (docs/adr/0012-tls-in-place.md).
 */
export class ServerTls {
  #port: PortTls;
  #options: TLSOptions;
  #contexts: ByServerName<SecureContext> | undefined;

  constructor(port: PortTls) {
    this.#port = port;
    this.#options = optionsOf(port);
    this.#contexts = contextsOf(port);
  }

  /** The options for the next connection. */
  get options(): TLSOptions {
    return this.#options;
  }

  /** Whether the certificate depends on the server name that a client asks for. */
  get choosesByName(): boolean {
    return this.#contexts !== undefined;
  }

  /** The certificate for this server name, in the runtime's own form; undefined for the one of `options`. */
  contextFor(serverName: string): SecureContext | undefined {
    return this.#contexts?.find(serverName);
  }

  /** Whether clients must have a certificate. */
  get wantsCertificate(): boolean {
    return this.#port.clientCa !== undefined;
  }

  /** From the next connection on. Returns whether clients that were accepted before may not be accepted any more. */
  replace(port: PortTls): boolean {
    const isStricter = port.clientCa !== undefined && port.clientCa !== this.#port.clientCa;
    this.#port = port;
    this.#options = optionsOf(port);
    this.#contexts = contextsOf(port);
    return isStricter;
  }
}

/** A parsed certificate and its key, as the runtime has them. */
type SecureContext = object;

/** The context of the first pair is in the options already. */
function contextsOf({ named, clientCa }: PortTls): ByServerName<SecureContext> | undefined {
  if (!named) return undefined;
  return new ByServerName(
    named.map(({ pair, names }, index) => {
      // Clients' certificates are judged by the authorities of the context that was chosen.
      const ca = clientCa === undefined ? {} : { ca: clientCa };
      const { cert, key } = pair;
      const { context }: { context: SecureContext } = nodeTls().createSecureContext({ cert, key, ...ca });
      return { names, value: index === 0 ? undefined : context };
    }),
  );
}

function optionsOf({ pair, clientCa, minVersion }: PortTls): TLSOptions {
  return {
    cert: pair.cert,
    key: pair.key,
    ALPNProtocols: HTTP_1_1,
    ...(minVersion === "1.3" ? { secureOptions: NO_TLS_1_2 } : {}),
    ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
  };
}

/** The one protocol that is spoken here, in ALPN's form: its length and its name (RFC 7301, section 3.1). */
const HTTP_1_1: Buffer = Buffer.from("\u0008http/1.1", "latin1");
/** SSL_OP_NO_TLSv1_2. TLS 1.1 and older are not spoken in any case. */
const NO_TLS_1_2 = 0x0800_0000;
