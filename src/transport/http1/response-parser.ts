import { GatewayError } from "../../errors/errors.ts";
import { BodyFramer, framerOf } from "./body-framer.ts";
import { indexOfBlankLine, isKeptAlive, readFields } from "./fields.ts";

/** Longest head of an answer (status line and headers). Engines send a few hundred bytes. */
const MAX_HEAD_BYTES = 16_384;
/** Informational answers (1xx) before the real one. */
const MAX_INFORMATIONAL = 32;
const NO_BYTES: Buffer = Buffer.alloc(0);

/**
 * Reads the head of one HTTP/1.1 answer (RFC 9112) from the pieces in which it arrives, after any informational ones, and finds the
 * framing of its body. Strict where leniency has let answers be smuggled. Throws upstream_protocol_error.
 */
export class ResponseParser {
  status = 0;
  headers: ReadonlyMap<string, string> = new Map();
  /** May the connection carry another request after this answer, as far as its head says? */
  keepAlive = true;
  /** Of the body; undefined while the head is not whole. */
  #framer: BodyFramer | undefined;
  #pending: Buffer = NO_BYTES;
  #informational = 0;
  readonly #isHeadRequest: boolean;

  constructor(method: string) {
    this.#isHeadRequest = method === "HEAD";
  }

  /**
   * Takes the next piece of the head. Once that is whole, returns the framer of the body, to which what followed was given, and
   * further pieces are; the pieces must be the parser's own.
   */
  push(piece: Buffer): BodyFramer | undefined {
    const bytes = this.#pending.length > 0 ? Buffer.concat([this.#pending, piece]) : piece;
    this.#pending = NO_BYTES;
    const from = this.#readHead(bytes);
    if (from < bytes.length) this.#framer?.push(bytes.subarray(from));
    return this.#framer;
  }

  /** The connection ended. True if the answer is whole. */
  end(): boolean {
    this.keepAlive = false;
    return this.#framer?.end() === true;
  }

  /** Where the body begins; the end of the bytes when there is not all of the head yet. */
  #readHead(bytes: Buffer): number {
    let from = 0;
    for (;;) {
      const end = indexOfBlankLine(bytes, from);
      if ((end < 0 ? bytes.length : end) - from > MAX_HEAD_BYTES) throw malformed("headers too large");
      if (end < 0) {
        this.#pending = bytes.subarray(from);
        return bytes.length;
      }
      const lines = bytes.toString("latin1", from, end).split("\r\n");
      const version = this.#readStatusLine(lines[0] ?? "");
      from = end + 4;
      if (this.status >= 200) {
        this.#framer = this.#readHeaders(lines, version);
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

  #readHeaders(lines: readonly string[], version: string): BodyFramer {
    const headers = readFields(lines, 1, malformed);
    this.headers = headers;
    this.keepAlive = isKeptAlive(headers, version === "1.1");
    return this.#framingOf(headers);
  }

  #framingOf(headers: ReadonlyMap<string, string>): BodyFramer {
    if (this.#isHeadRequest || this.status === 204 || this.status === 304) return BodyFramer.ofLength(0, malformed);
    const framer = framerOf(headers, malformed);
    if (framer) return framer;
    this.keepAlive = false;
    return BodyFramer.untilClose(malformed);
  }
}

const STATUS_LINE = /^HTTP\/(1\.[01]) ([1-9][0-9]{2})(?: [^\r\n\0]*)?$/;

function malformed(what: string): GatewayError {
  return new GatewayError("upstream_protocol_error", "the worker's answer is not valid HTTP", { cause: what });
}
