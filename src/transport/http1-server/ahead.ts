import type { ByteAccount } from "./byte-account.ts";

const NO_BYTES: Buffer = Buffer.alloc(0);
/** As much of a buffer may be kept for a part of it that is needed, bytes. */
const SLACK_BYTES = 4096;

/** `part` of a buffer of `whole` bytes as it may be kept: where it is much less than the buffer, a copy of its own. */
export function tight(part: Buffer, whole: number): Buffer {
  return whole - part.length > SLACK_BYTES ? Buffer.from(part) : part;
}

/** What came on a connection before its turn: a head that is not whole, requests behind the one that is answered. Counted as long as it lies here. */
export class Ahead {
  /** What lies here. */
  bytes: Buffer = NO_BYTES;
  readonly #account: ByteAccount;
  #held = 0;

  constructor(account: ByteAccount) {
    this.#account = account;
  }

  get length(): number {
    return this.bytes.length;
  }

  /** Of the buffer that `bytes` is a part of. */
  get held(): number {
    return this.#held;
  }

  /** In place of what lies here: a part of a buffer of `whole` bytes. False, and nothing is kept, where there is no room. */
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

  /** What lies here, which is not counted any more. */
  take(): Buffer {
    const { bytes } = this;
    if (bytes.length === 0) return bytes;
    this.#account.giveBack(this.#held);
    this.bytes = NO_BYTES;
    this.#held = 0;
    return bytes;
  }
}
