import type { FieldReader } from "../../util/header-reader.ts";
import { GatewayError } from "../../errors/errors.ts";
import { BodyFramer, framerOf } from "./body-framer.ts";
import { type Fields, indexOfBlankLine, isKeptAlive, type LineEnd, readFields } from "./fields.ts";
import { CR, LF } from "../../util/ascii.ts";

/** Longest head of an answer (status line and headers). Engines send a few hundred bytes. */
const MAX_HEAD_BYTES = 16_384;
/** Informational answers (1xx) before the real one. */
const MAX_INFORMATIONAL = 32;
const NO_BYTES: Buffer = Buffer.alloc(0);
const NO_FIELDS: FieldReader = new Map<string, string>();

/**
 * Reads the head of one HTTP/1.1 answer (RFC 9112) from the pieces in which it arrives, after any informational ones, and finds the
 * framing of its body. Strict where leniency has let answers be smuggled. Throws upstream_protocol_error.
 */
export class ResponseParser {
  status = 0;
  headers: FieldReader = NO_FIELDS;
  /** Whether the head lets the connection carry another request after this answer. */
  keepAlive = true;
  /** Framer of the body; undefined while the head is not whole. */
  #framer: BodyFramer | undefined;
  #pending: Buffer = NO_BYTES;
  #informational = 0;
  readonly #isHeadRequest: boolean;

  constructor(method: string) {
    this.#isHeadRequest = method === "HEAD";
  }

  /**
   * Takes the next piece of the head. Once the head is whole, returns the framer of the body, which has the bytes behind the head and gets
   * all further pieces. The parser owns the pieces.
   */
  push(piece: Buffer): BodyFramer | undefined {
    const bytes = this.#pending.length > 0 ? Buffer.concat([this.#pending, piece]) : piece;
    this.#pending = NO_BYTES;
    const from = this.#readHead(bytes);
    if (from < bytes.length) this.#framer?.push(bytes, from);
    return this.#framer;
  }

  /** The connection ended. True if the answer is whole. */
  end(): boolean {
    this.keepAlive = false;
    return this.#framer?.end() === true;
  }

  /** Returns the index at which the body begins, or the length of the bytes if the head is not whole. */
  #readHead(bytes: Buffer): number {
    let from = 0;
    for (;;) {
      const head = findHead(bytes, from);
      if ((head?.end ?? bytes.length) - from > MAX_HEAD_BYTES) throw malformed("headers too large");
      if (!head) {
        checkBegun(bytes, from);
        this.#pending = bytes.subarray(from);
        return bytes.length;
      }
      const text = bytes.toString("latin1", from, head.end);
      const lineEnd = text.indexOf(head.lineEnd);
      const isHttp11 = this.#readStatusLine(lineEnd < 0 ? text : text.slice(0, lineEnd));
      const start = lineEnd < 0 ? text.length : lineEnd + head.lineEnd.length;
      const fields = readFields(text, start, malformed, head.lineEnd);
      from = head.next;
      if (this.status >= 200) {
        this.#framer = this.#readHeaders(fields, isHttp11);
        return from;
      }
      this.#passOver(fields);
    }
  }

  /** Skips an informational answer: the answer to the request follows it. */
  #passOver(fields: FieldReader): void {
    if (this.status === 101) throw malformed("unasked upgrade");
    if (fields.has("content-length") || fields.has("transfer-encoding")) throw malformed("a body of no answer");
    this.#informational += 1;
    if (this.#informational > MAX_INFORMATIONAL) throw malformed("too many informational answers");
  }

  /** Takes the status. True for HTTP/1.1, false for HTTP/1.0. */
  #readStatusLine(line: string): boolean {
    if (line === USUAL_STATUS_LINE) {
      this.status = 200;
      return true;
    }
    const match = STATUS_LINE.exec(line);
    if (!match) throw malformed("bad status line");
    this.status = Number(match[2]);
    return match[1] === "1.1";
  }

  #readHeaders(headers: Fields, isHttp11: boolean): BodyFramer {
    this.headers = headers;
    // Chunks are not of HTTP/1.0: who sends them may mean another end than we find (RFC 9112, section 6.1).
    this.keepAlive = isKeptAlive(headers, isHttp11) && (isHttp11 || !headers.has("transfer-encoding"));
    return this.#framingOf(headers);
  }

  #framingOf(headers: Fields): BodyFramer {
    const told = headers.get("content-length");
    if (told?.includes(",")) headers.replace("content-length", sameLength(told));
    const framer = framerOf(headers, malformed, true);
    if (this.#isHeadRequest || this.status === 204 || this.status === 304) {
      // Without a body whatever the head says (RFC 9112, section 6.3); where it says otherwise one may follow nevertheless.
      if (!this.#isHeadRequest && framer?.isDone === false) this.keepAlive = false;
      return BodyFramer.ofLength(0, malformed);
    }
    if (framer) return framer;
    this.keepAlive = false;
    return BodyFramer.untilClose(malformed);
  }
}

interface FoundHead {
  /** End of its last line. */
  readonly end: number;
  readonly lineEnd: LineEnd;
  /** Behind the blank line. */
  readonly next: number;
}

/**
 * The head that begins at `from`. Its first line says how its lines end: a line feed alone is taken (RFC 9112, section 2.2), though
 * never the two mixed, which would let a value hold what others read as a line of its own.
 */
function findHead(bytes: Buffer, from: number): FoundHead | undefined {
  const first = bytes.indexOf(LF, from);
  if (first < 0) return undefined;
  if (first > from && bytes[first - 1] !== CR) {
    const end = bytes.indexOf("\n\n", first, "latin1");
    return end < 0 ? undefined : { end, lineEnd: "\n", next: end + 2 };
  }
  const end = indexOfBlankLine(bytes, from);
  return end < 0 ? undefined : { end, lineEnd: "\r\n", next: end + 4 };
}

/** Throws if these bytes can never become a head, as the worker may send nothing further and the wait would be long. */
function checkBegun(bytes: Buffer, from: number): void {
  const start = bytes.toString("latin1", from, Math.min(bytes.length, from + BEGINNING.length));
  if (!BEGINNING.startsWith(start)) throw malformed("no HTTP answer");
  const first = bytes.indexOf(LF, from);
  if (first < 0) return;
  const isBare = bytes[first - 1] !== CR;
  for (let at = first; at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if ((bytes[at - 1] !== CR) !== isBare) throw malformed("two kinds of line ends");
  }
}

/** A length that came twice the same is one (RFC 9110, section 8.6). */
function sameLength(told: string): string {
  const [first = "", ...others] = told.split(",").map((one) => one.trim());
  return others.every((one) => one === first) ? first : told;
}

const BEGINNING = "HTTP/1.";

/** What nearly every answer begins with. */
const USUAL_STATUS_LINE = "HTTP/1.1 200 OK";
const STATUS_LINE = /^HTTP\/(1\.[01]) ([1-9][0-9]{2})(?: [^\r\n\0]*)?$/;

function malformed(what: string): GatewayError {
  return new GatewayError("upstream_protocol_error", "the worker's answer is not valid HTTP", { cause: what });
}
