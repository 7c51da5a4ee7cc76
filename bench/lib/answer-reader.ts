/** What came for one request. */
export interface Answer {
  readonly status: number;
  /** Events of a stream, the end marker included. */
  readonly events: number;
  /** The beginning of the body, where the status is not 200: what a failure says. */
  readonly excerpt: string;
}

type Framing = "head" | "length" | "chunked" | "close";

const HEAD_END = "\r\n\r\n";
const CHUNKS_END = Buffer.from("\r\n0\r\n\r\n");
const EVENT_BEGIN = "data:";
const LINE_FEED = 10;
const EXCERPT_BYTES = 300;

/**
 * Finds the end of an HTTP/1.1 answer and counts its events. Made for the benchmarks' own answers, in which no text looks
 * like a frame; it is no parser.
 */
export class AnswerReader {
  events = 0;
  #framing: Framing = "head";
  #head: Buffer = Buffer.alloc(0);
  #status = 0;
  #left = 0;
  /** The last bytes, which an end marker or the beginning of an event may continue. */
  #tail: Buffer = Buffer.alloc(0);
  #excerpt = "";

  begin(): void {
    this.events = 0;
    this.#framing = "head";
    this.#head = Buffer.alloc(0);
    this.#tail = Buffer.alloc(0);
    this.#excerpt = "";
  }

  /** The answer, once it is whole. */
  take(bytes: Uint8Array): Answer | undefined {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (this.#framing !== "head") return this.#body(buffer);
    const all = this.#head.length > 0 ? Buffer.concat([this.#head, buffer]) : buffer;
    const end = all.indexOf(HEAD_END);
    if (end < 0) {
      this.#head = Buffer.from(all);
      return undefined;
    }
    this.#readHead(all.toString("latin1", 0, end));
    return this.#body(all.subarray(end + HEAD_END.length));
  }

  /** The answer, where the end of the connection ends it. */
  endOfConnection(): Answer | undefined {
    return this.#framing === "close" ? this.#answer() : undefined;
  }

  #readHead(head: string): void {
    this.#status = Number(head.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)/i.exec(head);
    if (length) {
      this.#framing = "length";
      this.#left = Number(length[1]);
    } else {
      this.#framing = /\r\ntransfer-encoding: *chunked/i.test(head) ? "chunked" : "close";
    }
  }

  #body(bytes: Buffer): Answer | undefined {
    if (this.#status !== 200 && this.#excerpt.length < EXCERPT_BYTES) this.#excerpt += bytes.toString();
    if (this.#framing === "length") {
      this.#left -= bytes.length;
      return this.#left <= 0 ? this.#answer() : undefined;
    }
    this.#countEvents(bytes);
    const isShort = bytes.length < CHUNKS_END.length;
    const last = isShort ? Buffer.concat([this.#tail, bytes]) : bytes;
    if (this.#framing === "chunked" && last.subarray(-CHUNKS_END.length).equals(CHUNKS_END)) return this.#answer();
    this.#tail = Buffer.from(last.subarray(-CHUNKS_END.length));
    return undefined;
  }

  #countEvents(bytes: Buffer): void {
    for (let at = bytes.indexOf(EVENT_BEGIN); at >= 0; at = bytes.indexOf(EVENT_BEGIN, at + EVENT_BEGIN.length)) {
      this.events += 1;
    }
    // A read that ends with a line feed ends between events or frames.
    if (this.#tail.length === 0 || this.#tail.at(-1) === LINE_FEED) return;
    const seam = Buffer.concat([
      this.#tail.subarray(1 - EVENT_BEGIN.length),
      bytes.subarray(0, EVENT_BEGIN.length - 1),
    ]);
    if (seam.includes(EVENT_BEGIN)) this.events += 1;
  }

  #answer(): Answer {
    return { status: this.#status, events: this.events, excerpt: this.#excerpt.slice(0, EXCERPT_BYTES) };
  }
}
