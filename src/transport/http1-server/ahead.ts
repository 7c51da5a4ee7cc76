import type { ByteAccount } from "./byte-account.ts";

const NO_BYTES: Buffer = Buffer.alloc(0);
/** A part of a buffer may keep so many other bytes of the buffer in memory. With more the part is copied. */
const SLACK_BYTES = 4096;

/** Returns `part`, or a copy of it if it is much smaller than the buffer of `whole` bytes that it would keep in memory. */
export function tight(part: Buffer, whole: number): Buffer {
  return whole - part.length > SLACK_BYTES ? Buffer.from(part) : part;
}

/** Bytes of a connection that wait: an incomplete head, or requests behind the one that is answered. They are counted while they wait. */
export class Ahead {
  /** The bytes that wait. */
  bytes: Buffer = NO_BYTES;
  readonly #account: ByteAccount;
  #held = 0;

  constructor(account: ByteAccount) {
    this.#account = account;
  }

  get length(): number {
    return this.bytes.length;
  }

  /** Size of the buffer that `bytes` keeps in memory. */
  get held(): number {
    return this.#held;
  }

  /** Keeps `part` of a buffer of `whole` bytes in place of the bytes that waited. Returns false, and keeps nothing, if there is no room. */
  put(part: Buffer, whole: number): boolean {
    this.take();
    if (part.length === 0) return true;
    // Copied each time that half of it is gone, so that thousands of small requests in one buffer are not copied for each.
    const isCopied = part.length * 2 < whole;
    const bytes = isCopied ? tight(part, whole) : part;
    const held = bytes === part ? whole : part.length;
    if (!this.#account.take(held, 0)) return false;
    this.bytes = bytes;
    this.#held = held;
    return true;
  }

  /** Returns the bytes that waited. They are no longer counted. */
  take(): Buffer {
    const { bytes } = this;
    if (bytes.length === 0) return bytes;
    this.#account.giveBack(this.#held);
    this.bytes = NO_BYTES;
    this.#held = 0;
    return bytes;
  }
}
