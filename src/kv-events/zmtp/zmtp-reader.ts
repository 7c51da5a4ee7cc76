import { COMMAND, GREETING_BYTES, LONG, MORE } from "./zmtp-frames.ts";

/** Bounds of what a peer may send. */
export interface ZmtpLimits {
  /** Bytes of one message, all frames together. */
  readonly maxMessageBytes: number;
}

/** Most frames of one message. The publishers of KV events send three or four. */
const MAX_FRAMES = 16;
/** Longest command, bytes. */
const MAX_COMMAND_BYTES = 65_536;
/** Bytes that are set aside at once for a frame; a longer one grows as its bytes arrive. */
const FIRST_BYTES = 65_536;
/** A frame's flags and its length of 8 bytes. */
const LONG_HEAD_BYTES = 9;

/** What the reader finds. `onMessage` gets frames that stay valid. A method may throw a ZmtpError. */
export interface ZmtpEvents {
  onGreeting(minorVersion: number): void;
  onCommand(name: string, data: Buffer): void;
  onMessage(frames: readonly Buffer[]): void;
}

/** The peer does not speak ZMTP 3, or sent more than a bound allows. The message is one sentence for operators. */
export class ZmtpError extends Error {
  override readonly name = "ZmtpError";
}

/**
 * Reads the bytes of one peer: first its greeting, then frames. Bytes may come cut at any place.
 *
 * ```
 *   greeting -> head -> body -> head ...
 *                ^-- 2 bytes, or 9 for a long frame
 * ```
 */
export class ZmtpReader {
  readonly #limits: ZmtpLimits;
  readonly #events: ZmtpEvents;
  /** Bytes of a greeting or a frame's head that is not complete. */
  readonly #head = Buffer.alloc(GREETING_BYTES);
  #headBytes = 0;
  #hasGreeting = false;
  #flags = 0;
  /** The body that is being read; undefined between frames. */
  #body: Buffer | undefined;
  #bodyBytes = 0;
  #bodyLength = 0;
  /** Frames of the message that is not complete, and their bytes. */
  #frames: Buffer[] = [];
  #messageBytes = 0;

  constructor(limits: ZmtpLimits, events: ZmtpEvents) {
    this.#limits = limits;
    this.#events = events;
  }

  /** Bytes that it holds of what is not complete. */
  get heldBytes(): number {
    return this.#headBytes + this.#messageBytes + this.#bodyBytes;
  }

  /** Reads more bytes. Throws ZmtpError; then nothing more may be read. */
  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (!this.#hasGreeting) at = this.#readGreeting(bytes, at);
      else if (this.#body) at = this.#readBody(bytes, at);
      else at = this.#readHead(bytes, at);
    }
  }

  #readGreeting(bytes: Uint8Array, from: number): number {
    const at = this.#fill(bytes, from, GREETING_BYTES);
    const head = this.#head;
    if (head[0] !== 0xff || (this.#headBytes > 9 && head[9] !== 0x7f)) throw new ZmtpError("it does not speak ZMTP");
    if (this.#headBytes > 10 && (head[10] ?? 0) < 3) throw new ZmtpError("it speaks a version of ZMTP before 3");
    if (this.#headBytes < GREETING_BYTES) return at;
    const mechanism = head.toString("latin1", 12, 32).replace(/\0+$/, "");
    if (mechanism !== "NULL") {
      throw new ZmtpError(`it wants the security mechanism ${JSON.stringify(mechanism)}; only NULL is supported`);
    }
    this.#hasGreeting = true;
    this.#headBytes = 0;
    // A later major version must still understand ours.
    this.#events.onGreeting(head[10] === 3 ? (head[11] ?? 0) : 1);
    return at;
  }

  #readHead(bytes: Uint8Array, from: number): number {
    let at = this.#fill(bytes, from, 1);
    const flags = this.#head[0] ?? 0;
    const size = flags & LONG ? LONG_HEAD_BYTES : 2;
    at = this.#fill(bytes, at, size);
    if (this.#headBytes < size) return at;
    this.#headBytes = 0;
    this.#beginFrame(flags, flags & LONG ? this.#longLength() : (this.#head[1] ?? 0));
    return at;
  }

  #longLength(): number {
    const high = this.#head.readUInt32BE(1);
    // Larger than any bound; as a number it need not be exact.
    return high * 2 ** 32 + this.#head.readUInt32BE(5);
  }

  #beginFrame(flags: number, length: number): void {
    if (flags & COMMAND) {
      if (length > MAX_COMMAND_BYTES) throw new ZmtpError(`it sent a command of ${length} bytes`);
    } else {
      const whole = this.#messageBytes + length;
      if (whole > this.#limits.maxMessageBytes) throw new ZmtpError(`it sent a message of ${whole} bytes or more`);
      if (this.#frames.length >= MAX_FRAMES) throw new ZmtpError(`it sent a message of more than ${MAX_FRAMES} frames`);
    }
    this.#flags = flags;
    this.#bodyLength = length;
    this.#bodyBytes = 0;
    this.#body = Buffer.allocUnsafeSlow(Math.min(length, FIRST_BYTES));
    if (length === 0) this.#endFrame(this.#body);
  }

  #readBody(bytes: Uint8Array, from: number): number {
    const count = Math.min(bytes.length - from, this.#bodyLength - this.#bodyBytes);
    const end = this.#bodyBytes + count;
    let body = this.#body ?? Buffer.alloc(0);
    if (end > body.length) {
      // A length that was only announced takes no memory.
      const grown = Buffer.allocUnsafeSlow(Math.min(this.#bodyLength, Math.max(end, body.length * 2)));
      grown.set(body.subarray(0, this.#bodyBytes));
      body = grown;
      this.#body = grown;
    }
    body.set(bytes.subarray(from, from + count), this.#bodyBytes);
    this.#bodyBytes = end;
    if (end === this.#bodyLength) this.#endFrame(body);
    return from + count;
  }

  #endFrame(body: Buffer): void {
    this.#body = undefined;
    this.#bodyBytes = 0;
    if (this.#flags & COMMAND) {
      this.#endCommand(body);
      return;
    }
    this.#frames.push(body);
    this.#messageBytes += body.length;
    if (this.#flags & MORE) return;
    const frames = this.#frames;
    this.#frames = [];
    this.#messageBytes = 0;
    this.#events.onMessage(frames);
  }

  #endCommand(body: Buffer): void {
    const length = body[0] ?? 0;
    if (length === 0 || length >= body.length) throw new ZmtpError("it sent a command without a name");
    this.#events.onCommand(body.toString("latin1", 1, 1 + length), body.subarray(1 + length));
  }

  /** Copies bytes into the head until it has `size` of them. Returns the place behind the bytes that it took. */
  #fill(bytes: Uint8Array, from: number, size: number): number {
    const count = Math.max(0, Math.min(bytes.length - from, size - this.#headBytes));
    this.#head.set(bytes.subarray(from, from + count), this.#headBytes);
    this.#headBytes += count;
    return from + count;
  }
}
