import { expect, test } from "bun:test";
import { failureOf, type HandshakeFailure } from "./handshake-failure.ts";

function boring(reason: string): Error {
  const message = `error:1000009c:SSL routines:OPENSSL_internal:${reason}`;
  return Object.assign(new Error(message), { code: "EPROTO" });
}

const CASES: readonly [string, Error | null, HandshakeFailure][] = [
  ["a client that says nothing more", null, "client_left"],
  ["a reset", Object.assign(new Error("reset"), { code: "ECONNRESET" }), "client_left"],
  ["a client that does not know the authority", boring("TLSV1_ALERT_UNKNOWN_CA"), "client_refused"],
  ["a client that finds the certificate expired", boring("SSLV3_ALERT_CERTIFICATE_EXPIRED"), "client_refused"],
  ["a client without a certificate", boring("PEER_DID_NOT_RETURN_A_CERTIFICATE"), "no_certificate"],
  [
    "a client's own authority",
    Object.assign(new Error("self"), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" }),
    "bad_certificate",
  ],
  ["TLS 1.1", boring("UNSUPPORTED_PROTOCOL"), "protocol"],
  ["HTTP/2 alone", boring("NO_APPLICATION_PROTOCOL"), "protocol"],
  ["bytes that are no TLS", boring("WRONG_VERSION_NUMBER"), "malformed"],
];

for (const [what, error, failure] of CASES) {
  test(`${what} counts as ${failure}`, () => {
    expect(failureOf(error)).toBe(failure);
  });
}
