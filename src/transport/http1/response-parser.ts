import { GatewayError } from "../../errors/errors.ts";

/** Longest head of an answer (status line and headers). Engines send a few hundred bytes. */
const MAX_HEAD_BYTES = 16_384;
/** Informational answers (1xx) before the real one. */
const MAX_INFORMATIONAL = 32;
/** Longest chunk-size line, extension included. */
const MAX_CHUNK_LINE_BYTES = 256;
const CR = 13;
const LF = 10;
const NO_BYTES = new Uint8Array(0);

/**
 * ```
 * head --(1xx)--> head
 * head -> length(n) ----------------------> done
 * head -> chunk-size -> chunk-data -> chunk-end -> chunk-size ... -> trailers -> done
 * head -> until-close --(end of input)----> done
 * ```
 */
type State = "head" | "length" | "chunk-size" | "chunk-data" | "chunk-end" | "trailers" | "until-close" | "done";

/**
 * Reads one HTTP/1.1 answer (RFC 9112) from the pieces in which it arrives. Strict where leniency has let answers be
 * smuggled: CRLF only, no folding, one framing, plain digits. Throws upstream_protocol_error.
 */
export class ResponseParser {
  status = 0;
  headers: ReadonlyMap<string, string> = new Map();
  /** May the connection carry another request after this answer? */
  keepAlive = true;
  #state: State = "head";
  #pending: Uint8Array = NO_BYTES;
  #remaining = 0;
  #informational = 0;
  readonly #isHeadRequest: boolean;

  constructor(method: string) {
    this.#isHeadRequest = method === "HEAD";
  }

  get hasHead(): boolean {
    return this.#state !== "head";
  }

  get isDone(): boolean {
    return this.#state === "done";
  }

  /**
   * Takes the next piece and returns the body bytes in it, moved together at its front: the piece is used as working
   * space and must be the parser's own. Bytes past the end of the answer forbid keep-alive.
   */
  push(piece: Uint8Array): Uint8Array {
    let bytes = piece;
    if (this.#pending.length > 0) {
      bytes = new Uint8Array(this.#pending.length + piece.length);
      bytes.set(this.#pending);
      bytes.set(piece, this.#pending.length);
      this.#pending = NO_BYTES;
    }
    let at = 0;
    if (this.#state === "head") {
      const end = this.#readHead(bytes);
      if (end < 0) return NO_BYTES;
      at = end;
    }
    switch (this.#state) {
      case "length": {
        const end = Math.min(bytes.length, at + this.#remaining);
        this.#remaining -= end - at;
        if (this.#remaining === 0) this.#finish(bytes.length - end);
        return bytes.subarray(at, end);
      }
      case "until-close":
        return bytes.subarray(at);
      case "done":
        if (at < bytes.length) this.keepAlive = false;
        return NO_BYTES;
      default:
        return this.#readChunks(bytes, at);
    }
  }

  /** The connection ended. True if the answer is whole. */
  end(): boolean {
    if (this.#state === "until-close") this.#state = "done";
    this.keepAlive = false;
    return this.#state === "done";
  }

  /** Index after the head, or -1 when there is not all of it yet. */
  #readHead(bytes: Uint8Array): number {
    let from = 0;
    for (;;) {
      const end = indexOfBlankLine(bytes, from);
      if (end < 0) {
        if (bytes.length - from > MAX_HEAD_BYTES) throw malformed("headers too large");
        this.#pending = bytes.subarray(from);
        return -1;
      }
      if (end - from > MAX_HEAD_BYTES) throw malformed("headers too large");
      const lines = latin1(bytes, from, end).split("\r\n");
      const version = this.#readStatusLine(lines[0] ?? "");
      from = end + 4;
      if (this.status >= 200) {
        this.#readHeaders(lines, version, bytes.length - from);
        return from;
      }
      if (this.status === 101) throw malformed("unasked upgrade");
      this.#informational += 1;
      if (this.#informational > MAX_INFORMATIONAL) throw malformed("too many informational answers");
    }
  }

  #readStatusLine(line: string): string {
    const match = STATUS_LINE.exec(line);
    if (!match) throw malformed("bad status line");
    this.status = Number(match[2]);
    return match[1] ?? "";
  }

  #readHeaders(lines: readonly string[], version: string, following: number): void {
    const headers = new Map<string, string>();
    for (let index = 1; index < lines.length; index += 1) {
      const line = lines[index] ?? "";
      const colon = line.indexOf(":");
      if (colon <= 0) throw malformed("bad header line");
      const name = line.slice(0, colon).toLowerCase();
      const value = line.slice(colon + 1).trim();
      if (!HEADER_NAME.test(name) || HEADER_VALUE_FORBIDDEN.test(value)) throw malformed("bad header");
      const before = headers.get(name);
      headers.set(name, before === undefined ? value : `${before}, ${value}`);
    }
    this.headers = headers;
    const connection = headers.get("connection")?.toLowerCase();
    this.keepAlive = version === "1.1" ? connection !== "close" : connection === "keep-alive";
    this.#chooseFraming(headers, following);
  }

  #chooseFraming(headers: ReadonlyMap<string, string>, following: number): void {
    const length = headers.get("content-length");
    const encoding = headers.get("transfer-encoding");
    if (this.#isHeadRequest || this.status === 204 || this.status === 304) {
      this.#finish(following);
    } else if (encoding !== undefined) {
      if (length !== undefined) throw malformed("both lengths");
      if (encoding.toLowerCase() !== "chunked") throw malformed("unknown transfer encoding");
      this.#state = "chunk-size";
    } else if (length === undefined) {
      this.keepAlive = false;
      this.#state = "until-close";
    } else {
      if (!DIGITS.test(length)) throw malformed("bad content length");
      this.#remaining = Number(length);
      this.#state = "length";
      if (this.#remaining === 0) this.#finish(following);
    }
  }

  /** Moves the payload of all chunks in `bytes` together and returns it. */
  #readChunks(bytes: Uint8Array, start: number): Uint8Array {
    let at = start;
    let out = start;
    while (at < bytes.length) {
      if (this.#state === "chunk-data") {
        const count = Math.min(this.#remaining, bytes.length - at);
        if (out !== at) bytes.copyWithin(out, at, at + count);
        out += count;
        at += count;
        this.#remaining -= count;
        if (this.#remaining === 0) this.#state = "chunk-end";
        continue;
      }
      if (this.#state === "done") {
        this.keepAlive = false;
        break;
      }
      const lineEnd = indexOfLineEnd(bytes, at);
      if (lineEnd < 0) {
        if (bytes.length - at > (this.#state === "trailers" ? MAX_HEAD_BYTES : MAX_CHUNK_LINE_BYTES)) {
          throw malformed("chunk line too long");
        }
        this.#pending = bytes.slice(at);
        break;
      }
      this.#readChunkLine(bytes, at, lineEnd);
      at = lineEnd + 2;
    }
    return bytes.subarray(start, out);
  }

  #readChunkLine(bytes: Uint8Array, from: number, end: number): void {
    if (this.#state === "chunk-end") {
      if (from !== end) throw malformed("chunk longer than its size");
      this.#state = "chunk-size";
    } else if (this.#state === "trailers") {
      if (from === end) this.#finish(0);
    } else {
      this.#remaining = chunkSize(bytes, from, end);
      this.#state = this.#remaining === 0 ? "trailers" : "chunk-data";
    }
  }

  #finish(following: number): void {
    this.#state = "done";
    if (following > 0) this.keepAlive = false;
  }
}

const STATUS_LINE = /^HTTP\/(1\.[01]) ([1-9][0-9]{2})(?: [^\r\n\0]*)?$/;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const HEADER_VALUE_FORBIDDEN = /[\u0000-\u0008\u000a-\u001f\u007f]/;
const DIGITS = /^[0-9]{1,15}$/;

function malformed(what: string): GatewayError {
  return new GatewayError("upstream_protocol_error", "the worker's answer is not valid HTTP", { cause: what });
}

function indexOfBlankLine(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    at = bytes.indexOf(CR, at);
    if (at < 0 || at + 3 >= bytes.length) return -1;
    if (bytes[at + 1] === LF && bytes[at + 2] === CR && bytes[at + 3] === LF) return at;
    at += 1;
  }
}

/** Index of the CR of the next CRLF; a CR or LF on its own is refused. */
function indexOfLineEnd(bytes: Uint8Array, from: number): number {
  for (let at = from; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === LF) throw malformed("bare line feed");
    if (byte === CR) {
      if (at + 1 === bytes.length) return -1;
      if (bytes[at + 1] !== LF) throw malformed("bare carriage return");
      return at;
    }
  }
  return -1;
}

function chunkSize(bytes: Uint8Array, from: number, end: number): number {
  let size = 0;
  let at = from;
  for (; at < end; at += 1) {
    const digit = hexDigit(bytes[at] ?? 0);
    if (digit < 0) break;
    size = size * 16 + digit;
  }
  const digits = at - from;
  // An extension begins with a semicolon; anything else after the digits is not a size.
  if (digits === 0 || digits > 12 || (at < end && bytes[at] !== 59)) throw malformed("bad chunk size");
  return size;
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

function latin1(bytes: Uint8Array, from: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, end - from).toString("latin1");
}
