import type { FieldReader } from "../../util/header-reader.ts";
import { lengthIn, readFields, type Refusal } from "./fields.ts";
import { CR, LF, SEMICOLON, SPACE, TAB } from "../../util/ascii.ts";

/** Longest trailer section. */
const MAX_TRAILER_BYTES = 16_384;
/** Longest chunk-size line, extension included. */
const MAX_CHUNK_LINE_BYTES = 256;
/** Bytes of each chunk-size line that are free. Longer lines count as extensions. */
const SIZE_LINE_BYTES = 16;
/** Most bytes of extensions in a body: many small extensions take time and memory that no bound on bodies counts. */
const MAX_EXTENSION_BYTES = 16_384;
/** Largest chunk: 12 digits. */
const MAX_CHUNK_BYTES = 16 ** 12 - 1;
const NO_BYTES: Buffer = Buffer.alloc(0);

/** The part of `bytes` from `from` up to `to`. It is no view, as a view of a small buffer costs more than all else that is done with it. */
export interface ByteRange {
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
}

/** The range as a buffer. */
export function bytesOf({ bytes, from, to }: ByteRange): Buffer {
  return from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to);
}

/**
 * ```
 * length(n) ----------------------> done
 * chunk-size -> chunk-data -> chunk-end -> chunk-size ... -> trailers -> done
 * until-close --(end of input)----> done
 * ```
 */
type State = "length" | "chunk-size" | "chunk-data" | "chunk-end" | "trailers" | "until-close" | "done";

/**
 * Takes the body of one message out of its framing (RFC 9112, sections 6 and 7), from the pieces in which it arrives.
 * Strict where leniency has let messages be smuggled: CRLF only, plain digits, no framing in trailers. Throws what `malformed` makes
 * of a few words.
 */
export class BodyFramer implements ByteRange {
  /** The body bytes of the last piece. */
  bytes: Buffer = NO_BYTES;
  from = 0;
  to = 0;
  readonly #malformed: Refusal;
  readonly #isPadded: boolean;
  #state: State;
  #remaining: number;
  /** The beginning of a line whose end has not come. */
  #pending: Buffer = NO_BYTES;
  #rest: Buffer = NO_BYTES;
  #trailerLines: string[] | undefined;
  #trailerBytes = 0;
  #extensionBytes = 0;

  private constructor(state: State, remaining: number, malformed: Refusal, isPadded = false) {
    this.#isPadded = isPadded;
    this.#state = state;
    this.#remaining = remaining;
    this.#malformed = malformed;
  }

  static ofLength(bytes: number, malformed: Refusal): BodyFramer {
    return new BodyFramer(bytes === 0 ? "done" : "length", bytes, malformed);
  }

  /** `isPadded`: sizes may have zeros before them and spaces behind them, as old servers write them. */
  static chunked(malformed: Refusal, isPadded = false): BodyFramer {
    return new BodyFramer("chunk-size", 0, malformed, isPadded);
  }

  static untilClose(malformed: Refusal): BodyFramer {
    return new BodyFramer("until-close", 0, malformed);
  }

  get isDone(): boolean {
    return this.#state === "done";
  }

  /** Bytes of the body that are still to come, where its length was told. */
  get missing(): number {
    return this.#state === "length" ? this.#remaining : Number.POSITIVE_INFINITY;
  }

  /** Bytes that came behind the end of the message. */
  get rest(): Buffer {
    return this.#rest;
  }

  /**
   * Takes the next piece, or what of it begins at `from`, and shows the body bytes in it, moved together: the piece is used as working
   * space and must be the framer's own.
   */
  push(piece: Buffer, from = 0): void {
    switch (this.#state) {
      case "length": {
        const to = Math.min(piece.length, from + this.#remaining);
        this.#show(piece, from, to);
        this.#remaining -= to - from;
        if (this.#remaining > 0) return;
        this.#state = "done";
        this.#rest = to === piece.length ? NO_BYTES : piece.subarray(to);
        return;
      }
      case "until-close":
        this.#show(piece, from, piece.length);
        return;
      case "done":
        this.#rest = piece.subarray(from);
        this.#show(NO_BYTES, 0, 0);
        return;
      default:
        if (this.#pending.length > 0) this.#readChunks(this.#joined(piece.subarray(from)), 0);
        else this.#readChunks(piece, from);
    }
  }

  /** The input has ended. True if the message is whole. */
  end(): boolean {
    if (this.#state === "until-close") this.#state = "done";
    return this.#state === "done";
  }

  #show(bytes: Buffer, from: number, to: number): void {
    this.bytes = bytes;
    this.from = from;
    this.to = to;
  }

  #joined(piece: Buffer): Buffer {
    const bytes = Buffer.concat([this.#pending, piece]);
    this.#pending = NO_BYTES;
    return bytes;
  }

  /** Moves the payload of all chunks that stand in `bytes` from `from` on together and shows it. */
  #readChunks(bytes: Buffer, from: number): void {
    let at = from;
    let out = from;
    // Nearly every piece of a stream is one chunk: it is shown where it lies, and nothing is moved.
    let start = from;
    while (at < bytes.length) {
      if (this.#state === "chunk-data") {
        const count = Math.min(this.#remaining, bytes.length - at);
        if (out === start) out = start = at;
        if (out !== at) bytes.copyWithin(out, at, at + count);
        out += count;
        at += count;
        this.#remaining -= count;
        if (this.#remaining === 0) this.#state = "chunk-end";
        continue;
      }
      if (this.isDone) {
        this.#rest = bytes.subarray(at);
        break;
      }
      const lineEnd = this.#indexOfLineEnd(bytes, at);
      if (lineEnd < 0) {
        // A CR at the end may be the line's own.
        this.#checkLine(bytes.length - at - (bytes[bytes.length - 1] === CR ? 1 : 0));
        // Copied, as a view of these few bytes would keep the whole piece in memory.
        this.#pending = Buffer.from(bytes.subarray(at));
        break;
      }
      this.#checkLine(lineEnd - at);
      this.#readLine(bytes, at, lineEnd);
      at = lineEnd + 2;
    }
    this.#show(bytes, start, out);
  }

  #checkLine(length: number): void {
    const most = this.#state === "trailers" ? MAX_TRAILER_BYTES - this.#trailerBytes : MAX_CHUNK_LINE_BYTES;
    if (length > most) throw this.#malformed("chunk line too long");
  }

  #readLine(bytes: Buffer, from: number, end: number): void {
    if (this.#state === "chunk-end") {
      if (from !== end) throw this.#malformed("chunk longer than its size");
      this.#state = "chunk-size";
    } else if (this.#state === "trailers") {
      this.#trailerBytes += end - from + 2;
      if (from === end) this.#finishTrailers();
      else this.#keepTrailer(bytes.toString("latin1", from, end));
    } else {
      this.#remaining = this.#chunkSize(bytes, from, end);
      this.#state = this.#remaining === 0 ? "trailers" : "chunk-data";
    }
  }

  #keepTrailer(line: string): void {
    this.#trailerLines ??= [];
    this.#trailerLines.push(line);
  }

  /** Trailers are looked at and dropped. */
  #finishTrailers(): void {
    const fields = readFields((this.#trailerLines ?? []).join("\r\n"), 0, this.#malformed);
    for (const name of FRAMING) if (fields.has(name)) throw this.#malformed("framing in a trailer");
    this.#state = "done";
  }

  /** Index of the CR of the next CRLF; a CR or LF on its own is refused. */
  #indexOfLineEnd(bytes: Uint8Array, from: number): number {
    for (let at = from; at < bytes.length; at += 1) {
      const byte = bytes[at];
      if (byte === LF) throw this.#malformed("bare line feed");
      if (byte === CR) {
        if (at + 1 === bytes.length) return -1;
        if (bytes[at + 1] !== LF) throw this.#malformed("bare carriage return");
        return at;
      }
    }
    return -1;
  }

  #chunkSize(bytes: Buffer, from: number, end: number): number {
    let size = 0;
    let at = from;
    for (; at < end; at += 1) {
      const digit = hexDigit(bytes[at] ?? 0);
      if (digit < 0) break;
      size = size * 16 + digit;
    }
    const digits = at - from;
    if (this.#isPadded && digits > 0 && size <= MAX_CHUNK_BYTES) {
      while (at < end && (bytes[at] === SPACE || bytes[at] === TAB)) at += 1;
      if (at === end || bytes[at] === SEMICOLON) return size;
    }
    // An extension begins with a semicolon; anything else after the digits is not a size.
    if (digits === 0 || digits > 12 || (at < end && bytes[at] !== SEMICOLON)) {
      throw this.#malformed("bad chunk size");
    }
    if (at < end && !EXTENSION.test(bytes.toString("latin1", at + 1, end)))
      throw this.#malformed("bad chunk extension");
    this.#extensionBytes += Math.max(0, end - from - SIZE_LINE_BYTES);
    if (this.#extensionBytes > MAX_EXTENSION_BYTES) throw this.#malformed("too many chunk extensions");
    return size;
  }
}

/**
 * The framing that a message's head tells of its body (RFC 9112, section 6.3); undefined where it tells none. Two at once, or
 * an encoding other than chunks alone, are refused with what `malformed` makes of a few words. `isPadded`: see `BodyFramer.chunked`.
 */
export function framerOf(fields: FieldReader, malformed: Refusal, isPadded = false): BodyFramer | undefined {
  const told = fields.get("content-length");
  const encoding = fields.get("transfer-encoding");
  if (encoding !== undefined) {
    if (told !== undefined) throw malformed("both a length and chunks");
    if (encoding.toLowerCase() !== "chunked") throw malformed("unknown transfer encoding");
    return BodyFramer.chunked(malformed, isPadded);
  }
  if (told === undefined) return undefined;
  const length = lengthIn(told);
  if (length === undefined) throw malformed("bad content length");
  return BodyFramer.ofLength(length, malformed);
}

/** A name with whatever follows, but no control characters. */
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const EXTENSION = /^[\t ]*[!#$%&'*+.^_`|~0-9A-Za-z-][^\u0000-\u0008\u000a-\u001f\u007f]*$/;
const FRAMING = ["content-length", "transfer-encoding", "host"] as const;

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
