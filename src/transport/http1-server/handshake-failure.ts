/**
 * Why a client's handshake failed:
 *
 * - `client_left`: the client closed the connection without a word. Some do so when they do not accept the certificate.
 * - `client_refused`: the client said that it does not accept the certificate, or something else of ours.
 * - `no_certificate`, `bad_certificate`: the client has none of the authority, or one that is wrong or expired.
 * - `protocol`: no version, cipher or application protocol in common.
 * - `malformed`: the bytes are no handshake.
 */
export type HandshakeFailure =
  | "client_left"
  | "client_refused"
  | "no_certificate"
  | "bad_certificate"
  | "protocol"
  | "malformed";

/** Sorts what the runtime reports of a failed handshake: BoringSSL's reason in the message, or a code of verification. */
export function failureOf(error: (Error & { readonly code?: unknown }) | null): HandshakeFailure {
  if (!error) return "client_left";
  const { code } = error;
  if (code === "ECONNRESET" || code === "EPIPE") return "client_left";
  if (code !== "EPROTO") return "bad_certificate";
  const reason = /:([A-Z0-9_]+)$/.exec(error.message)?.[1] ?? "";
  if (reason === "PEER_DID_NOT_RETURN_A_CERTIFICATE") return "no_certificate";
  if (/^(TLSV1|SSLV3)_ALERT_/.test(reason) || reason === OPENSSL_ALERT) return "client_refused";
  if (PROTOCOL.has(reason)) return "protocol";
  return reason === "CERTIFICATE_VERIFY_FAILED" ? "bad_certificate" : "malformed";
}

/** BoringSSL's reason for an alert of an OpenSSL client in the middle of a TLS 1.3 handshake (curl, Python; Bun 1.4.5, 2026-11-26). */
const OPENSSL_ALERT = "BAD_PACKET_LENGTH";
const PROTOCOL: ReadonlySet<string> = new Set([
  "UNSUPPORTED_PROTOCOL",
  "NO_APPLICATION_PROTOCOL",
  "NO_SHARED_CIPHER",
  "NO_SHARED_GROUP",
  "NO_COMMON_SIGNATURE_ALGORITHMS",
  "INAPPROPRIATE_FALLBACK",
]);
