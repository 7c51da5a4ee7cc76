import { describe, expect, test } from "bun:test";
import { isRefusal, isVerification, tlsFailureInWords } from "./worker-failure.ts";

function failure(code: string, message = code): Error {
  return Object.assign(new Error(message), { code });
}

function alert(reason: string): Error {
  return failure("EPROTO", `error:1000045c:SSL routines:OPENSSL_internal:${reason}`);
}

const WRONG_NAME = failure(
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "Hostname/IP does not match certificate's altnames: Host: gpu1. is not in the cert's altnames: DNS:other",
);

const WORDS: readonly [string, Error, RegExp][] = [
  ["another name", WRONG_NAME, /^its certificate is for another name than its address \(.*DNS:other\); server_name/],
  ["an end", failure("CERT_HAS_EXPIRED"), /^its certificate has expired$/],
  ["an unknown authority", failure("UNABLE_TO_VERIFY_LEAF_SIGNATURE"), /^no authority that the gateway trusts/],
  ["itself as authority", failure("DEPTH_ZERO_SELF_SIGNED_CERT"), /^no authority that the gateway trusts/],
  [
    "a wish for a certificate, over HTTP/1.1",
    alert("TLSV1_ALERT_CERTIFICATE_REQUIRED"),
    /^it wants a certificate of the gateway/,
  ],
  [
    "a wish for a certificate, over HTTP/2",
    failure("ERR_SSL_TLSV1_ALERT_CERTIFICATE_REQUIRED"),
    /^it wants a certificate of the gateway/,
  ],
  ["no TLS at all", alert("WRONG_VERSION_NUMBER"), /^it does not speak TLS/],
  ["an old TLS", alert("TLSV1_ALERT_PROTOCOL_VERSION"), /^it speaks neither TLS 1.2 nor TLS 1.3$/],
  ["something else", alert("BAD_DECRYPT"), /^the TLS handshake failed \(BAD_DECRYPT\)$/],
];

describe("a worker's failed TLS is told in words", () => {
  for (const [what, error, words] of WORDS) {
    test(`for ${what}`, () => {
      const told = tlsFailureInWords(error);
      expect(told).toBeInstanceOf(Error);
      expect((told as Error).message).toMatch(words);
      expect((told as Error).cause).toBe(error);
    });
  }

  test("and what is no failure of TLS stays as it is", () => {
    const reset = failure("ECONNRESET");
    expect([tlsFailureInWords(reset), tlsFailureInWords("text"), tlsFailureInWords(undefined)]).toEqual([
      reset,
      "text",
      undefined,
    ]);
  });
});

test("only a wrong certificate is overlooked where it is not checked, never a failed handshake", () => {
  expect([WRONG_NAME, failure("CERT_HAS_EXPIRED"), failure("DEPTH_ZERO_SELF_SIGNED_CERT")].every(isVerification)).toBe(
    true,
  );
  expect([alert("WRONG_VERSION_NUMBER"), failure("ECONNRESET"), new Error("none")].some(isVerification)).toBe(false);
});

test("a worker that refuses the gateway's certificate never had the request", () => {
  expect(
    [
      alert("TLSV1_ALERT_CERTIFICATE_REQUIRED"),
      alert("TLSV1_ALERT_UNKNOWN_CA"),
      alert("SSLV3_ALERT_HANDSHAKE_FAILURE"),
    ].every(isRefusal),
  ).toBe(true);
  expect(
    [
      alert("SSLV3_ALERT_BAD_RECORD_MAC"),
      alert("DECRYPTION_FAILED_OR_BAD_RECORD_MAC"),
      failure("ECONNRESET"),
      undefined,
    ].some(isRefusal),
  ).toBe(false);
});
