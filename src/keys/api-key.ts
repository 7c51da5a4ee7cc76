/** Bytes of a SHA-256 digest. */
export const DIGEST_BYTES = 32;
/** Random bytes of a key: too many to guess, so its digest needs no salt and no slow hash. */
const SECRET_BYTES = 32;
const ID_CHARS = 12;
const ID_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789";

/** A key that was just made. Its text is shown once and kept nowhere. */
export interface NewKey {
  /** Part of the key; it names the key in lists, and says nothing about the secret. */
  readonly id: string;
  /** `pm-ID-SECRET`. */
  readonly text: string;
  readonly digest: Uint8Array;
}

/** Makes a key of 256 random bits: `pm-`, an id of 12 letters and digits, `-`, 43 characters of base64url. */
export function createKey(id: string = createKeyId()): NewKey {
  const secret = Buffer.from(crypto.getRandomValues(new Uint8Array(SECRET_BYTES))).toString("base64url");
  const text = `pm-${id}-${secret}`;
  return { id, text, digest: digestOf(text) };
}

function createKeyId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(ID_CHARS));
  return Array.from(bytes, (byte) => ID_ALPHABET[byte % ID_ALPHABET.length]).join("");
}

/** The SHA-256 digest of a key; into `out`, where that is given. */
export function digestOf(text: string, out: Uint8Array = new Uint8Array(DIGEST_BYTES)): Uint8Array {
  Bun.SHA256.hash(text, out);
  return out;
}
