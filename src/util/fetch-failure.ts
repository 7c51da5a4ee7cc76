/**
 * Why `fetch` had no answer, in words that say what to look at. "It" is the server that was asked. The runtime's own words ("Is the
 * computer able to access the url?", Bun 1.4.5) say less, and some name the whole address with its query.
 */
export function fetchFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return "it has not answered in time";
  const code = "code" in error ? String(error.code) : "";
  const known = WORDS.find(([pattern]) => pattern.test(code));
  return known ? `${known[1]} (${code})` : error.message;
}

const WORDS: readonly (readonly [code: RegExp, words: string])[] = [
  [/^ECONNREFUSED$/, "it refuses connections: nobody listens at this address"],
  [/^(ENOTFOUND|EAI_\w+|DNS\w*)$/, "its name does not resolve"],
  [/^(ECONNRESET|EPIPE|ConnectionClosed)$/, "it broke the connection"],
  [/^(EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|EINVAL)$/, "there is no way to its address"],
  [/^ETIMEDOUT$/, "it does not answer at this address"],
  [/^EPROTO$/, "the TLS handshake failed: it speaks no TLS there, or wants to see a certificate"],
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, "its certificate is for another name than its address"],
  [/^CERT_HAS_EXPIRED$/, "its certificate has expired"],
  [/^CERT_NOT_YET_VALID$/, "its certificate is not valid yet"],
  [
    /^(UNABLE_TO_\w+|SELF_SIGNED_\w+|DEPTH_ZERO_\w+|CERT_UNTRUSTED|CERT_SIGNATURE_FAILURE)$/,
    "no authority that is trusted here has signed its certificate",
  ],
  [/^ERR_PROXY_TUNNEL$/, "the proxy that the environment names makes no tunnel to it"],
  [/^UnexpectedRedirect$/, "it sends the question on to another address, which is not asked"],
];
