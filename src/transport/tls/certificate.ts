import type * as Crypto from "node:crypto";
import { lazy } from "../../util/lazy.ts";

/** It is loaded with the first certificate. */
const crypto = lazy((): typeof Crypto => require("node:crypto"));

/** A certificate, with those between it and its authority behind it, and its private key: PEM text. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate says of itself. */
export interface CertificateFacts {
  readonly subject: string;
  /** Host names and addresses that it is for, as `DNS:example.com`. */
  readonly names: readonly string[];
  /** From when and until when it is valid, ms since 1970. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SHA-256 of the certificate, in hexadecimal with colons. */
  readonly fingerprint: string;
}

/** Reads a pair. Throws an Error whose message says in a few words what is wrong: no certificate, no key, two that do not belong together. */
export function readKeyPair({ cert, key }: KeyPair): CertificateFacts {
  const [first, ...others] = certificatesIn(cert);
  if (!first) throw new Error("there is no certificate in it (-----BEGIN CERTIFICATE-----)");
  if (!first.checkPrivateKey(privateKeyIn(key))) throw new Error("the private key belongs to another certificate");
  // Those of the certificate before, left behind a renewed one: clients could not get from one to the other.
  if (others.length > 0 && !first.checkIssued(first) && !others.some((other) => first.checkIssued(other)))
    throw new Error("none of the certificates behind the first one has issued it");
  return factsOf(first);
}

/** Reads the certificates of authorities. Throws an Error as `readKeyPair` does. */
export function readAuthorities(pem: string): CertificateFacts[] {
  const found = certificatesIn(pem);
  if (found.length === 0) throw new Error("there is no certificate in it (-----BEGIN CERTIFICATE-----)");
  return found.map(factsOf);
}

/** Why a certificate is not valid at `nowMs` (ms since 1970); undefined where it is. */
export function notValidAt({ notBeforeMs, notAfterMs }: CertificateFacts, nowMs: number): string | undefined {
  if (nowMs > notAfterMs) return `the certificate has expired at ${new Date(notAfterMs).toISOString()}`;
  if (nowMs < notBeforeMs) return `the certificate is valid only from ${new Date(notBeforeMs).toISOString()} on`;
  return undefined;
}

function certificatesIn(pem: string): Crypto.X509Certificate[] {
  return (pem.match(CERTIFICATE) ?? []).map((text) => {
    try {
      return new (crypto().X509Certificate)(text);
    } catch (cause) {
      throw new Error("a certificate in it cannot be read", { cause });
    }
  });
}

function privateKeyIn(pem: string): Crypto.KeyObject {
  if (!PRIVATE_KEY.test(pem)) throw new Error("there is no private key in it (-----BEGIN PRIVATE KEY-----)");
  if (ENCRYPTED.test(pem)) throw new Error("the private key is encrypted; the gateway needs it without a passphrase");
  try {
    return crypto().createPrivateKey(pem);
  } catch (cause) {
    throw new Error("the private key in it cannot be read", { cause });
  }
}

function factsOf(certificate: Crypto.X509Certificate): CertificateFacts {
  return {
    subject: certificate.subject.replaceAll("\n", ", "),
    names: certificate.subjectAltName?.split(", ") ?? [],
    notBeforeMs: Date.parse(certificate.validFrom),
    notAfterMs: Date.parse(certificate.validTo),
    fingerprint: certificate.fingerprint256,
  };
}

const CERTIFICATE = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]+-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g;
const PRIVATE_KEY = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/;
const ENCRYPTED = /-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED/;
