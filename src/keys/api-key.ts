/** Bytes of a SHA-256 digest. */
export const DIGEST_BYTES = 32;

/** The SHA-256 digest of a key; into `out`, where that is given. */
export function digestOf(text: string, out: Uint8Array = new Uint8Array(DIGEST_BYTES)): Uint8Array {
  Bun.SHA256.hash(text, out);
  return out;
}
