import type { TLSOptions } from "bun";
import type { KeyPair } from "./certificate.ts";

/** The oldest version of TLS that a port speaks. */
export type TlsVersion = "1.2" | "1.3";

/** What a port needs to speak TLS. Plain data, so that a thread can be sent it. */
export interface PortTls {
  readonly pair: KeyPair;
  /** Certificates (PEM) of the authorities of which clients must have a certificate; undefined where they need none. */
  readonly clientCa: string | undefined;
  readonly minVersion: TlsVersion;
}

/**
 * The TLS of one port. Each connection is upgraded with the options that are in force when it is accepted, so that a new certificate
 * needs no new listener (docs/adr/0013-tls-in-place.md).
 */
export class ServerTls {
  #port: PortTls;
  #options: TLSOptions;

  constructor(port: PortTls) {
    this.#port = port;
    this.#options = optionsOf(port);
  }

  /** The options for the next connection. */
  get options(): TLSOptions {
    return this.#options;
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
    return isStricter;
  }
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
