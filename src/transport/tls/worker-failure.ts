/**
 * What the runtime reports of a failed TLS connection to a worker, in words that say what to do. The words are for the log and for the
 * operator's view of the worker, not for clients. Other errors are returned as they are.
 */
export function tlsFailureInWords(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const words = wordsOf(error, codeOf(error));
  return words === undefined ? error : new Error(words, { cause: error });
}

/**
 * Whether the certificate is what is wrong, and not the connection: a worker whose certificate is not checked can then be asked all the
 * same.
 */
export function isVerification(error: Error): boolean {
  const code = codeOf(error);
  return code === WRONG_NAME || VERIFICATION.has(code);
}

/** Whether the worker has refused the gateway's certificate, or that it has none. TLS 1.3 says so only after the handshake. */
export function isRefusal(error: unknown): boolean {
  return error instanceof Error && REFUSAL.test(alertOf(error, codeOf(error)));
}

function wordsOf(error: Error, code: string): string | undefined {
  if (code === WRONG_NAME) {
    const names = /altnames?: (.*)$|cert's list: (.*)$/.exec(error.message);
    const said = (names?.[1] ?? names?.[2] ?? "").slice(0, MAX_WORDS);
    return `its certificate is for another name than its address (${said}); server_name says for which it must be`;
  }
  const known = VERIFICATION.get(code);
  if (known !== undefined) return known;
  const alert = alertOf(error, code);
  if (REFUSAL.test(alert)) {
    return "it wants a certificate of the gateway, or does not accept the one that it gets (client_cert_path)";
  }
  if (alert === "WRONG_VERSION_NUMBER" || alert === "HTTP_REQUEST")
    return "it does not speak TLS; http:// or grpc:// is without";
  if (/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/.test(alert)) return "it speaks neither TLS 1.2 nor TLS 1.3";
  return alert === "" ? undefined : `the TLS handshake failed (${alert})`;
}

function codeOf(error: Error): string {
  return "code" in error ? String(error.code) : "";
}

/** BoringSSL's reason; empty for an error of something else. */
function alertOf(error: Error, code: string): string {
  if (code.startsWith("ERR_SSL_")) return code.slice("ERR_SSL_".length);
  return code === "EPROTO" ? (/:([A-Z0-9_]+)$/.exec(error.message)?.[1] ?? "") : "";
}

const MAX_WORDS = 200;
const WRONG_NAME = "ERR_TLS_CERT_ALTNAME_INVALID";
const UNKNOWN = "no authority that the gateway trusts has signed its certificate; ca_cert_paths names others";
/** X.509's reasons, as OpenSSL names them. */
const VERIFICATION: ReadonlyMap<string, string> = new Map([
  ["CERT_HAS_EXPIRED", "its certificate has expired"],
  ["CERT_NOT_YET_VALID", "its certificate is not valid yet"],
  ["CERT_REVOKED", "its certificate was revoked"],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", UNKNOWN],
  ["UNABLE_TO_GET_ISSUER_CERT", UNKNOWN],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", UNKNOWN],
  ["SELF_SIGNED_CERT_IN_CHAIN", UNKNOWN],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", UNKNOWN],
  ["CERT_UNTRUSTED", UNKNOWN],
  ["CERT_SIGNATURE_FAILURE", UNKNOWN],
  ["INVALID_CA", "the authority of its certificate may not sign certificates"],
  ["INVALID_PURPOSE", "its certificate is not one of a server"],
  ["CERT_CHAIN_TOO_LONG", "too many certificates are between its own and its authority"],
  ["HOSTNAME_MISMATCH", "its certificate is for another name than its address; server_name says for which it must be"],
]);
const REFUSAL =
  /ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_(REVOKED|EXPIRED|UNKNOWN)|UNKNOWN_CA|ACCESS_DENIED|NO_CERTIFICATE|HANDSHAKE_FAILURE)$/;
