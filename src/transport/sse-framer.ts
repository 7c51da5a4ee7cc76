import { GatewayError } from "../errors/errors.ts";
import { copyBytes } from "../util/copy-bytes.ts";
import { CR, LF } from "../util/ascii.ts";

/**
 * What is done with an event: it is passed on; passed on without being counted, as it has no part of the answer; left out; passed
 * on as the last; or left out with all that follows.
 */
export type Verdict = "pass" | "aside" | "drop" | "last" | "stop";

export interface KnownEvents {
  /** Where the event ends that begins at `from`, if nobody has to be told it; else -1. */
  endOf(bytes: DataView, from: number, to: number): number;
}

/** Where pieces are looked at: a view of each would cost more than its copy. */
const COPIED = Buffer.allocUnsafeSlow(65_536);
const COPIED_VIEW = new DataView(COPIED.buffer);

/** Bytes that are passed on in the place of an event. */
export interface Instead {
  readonly bytes: Uint8Array;
  /** Events with data that the bytes are, an end marker left out. */
  readonly events: number;
  /** No event is passed on after them. */
  readonly isLast: boolean;
}

/**
 * Is told each event that has data, which is more than white space: the `event:` field, the data lines joined by LF, and
 * the event as a whole with the blank line behind it.
 */
export type OnEvent = (name: string | undefined, data: string, event: string) => Verdict | Instead;

/** Longest single event; a picture in base64 fits. */
const MAX_EVENT_BYTES = 4 * 1024 * 1024;
const BYTE_ORDER_MARK = Buffer.of(0xef, 0xbb, 0xbf);
const NO_BYTES = new Uint8Array(0);

/**
 * Cuts a stream of server-sent events into its events on their way through, without changing them: a part of an event
 * waits for its rest, so that a stream which is cut never ends within one. The format is that of the HTML standard: lines end
 * with LF, CRLF or CR, and a byte order mark may stand before all. Bare CR come out as LF, and the mark does not. What has
 * no data is no event by that standard; as clients try to read it as JSON it is left out, but for comments, `id` and `retry`.
 */
export class SseFramer {
  /** Events with data so far, the last one (end marker) left out. */
  events = 0;
  readonly #onEvent: OnEvent;
  readonly #known: KnownEvents | undefined;
  #isEnded = false;
  #rest: Uint8Array = NO_BYTES;
  /** A part of an event that waits for its rest, in a buffer that grows by doubling. */
  #waiting: Buffer = Buffer.alloc(0);
  /** The buffer as far as it was filled last. */
  #joinedBytes: Buffer | undefined;
  #waitingBytes = 0;
  /** How lines end: undefined until the first has ended. */
  #hasBareCr: boolean | undefined;

  constructor(onEvent: OnEvent, known?: KnownEvents) {
    this.#onEvent = onEvent;
    this.#known = known;
  }

  /** No event is passed on any more. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Bytes that came with the last event, behind it. */
  get rest(): Uint8Array {
    return this.#rest;
  }

  /** The part of an event that waits for its rest; a view that holds until the next bytes come. */
  get waiting(): Uint8Array {
    return this.#waiting.subarray(0, this.#waitingBytes);
  }

  /** Events from now on are not passed on. */
  end(): void {
    this.#isEnded = true;
  }

  /** True where these bytes are whole events that nobody has to be told: then they have been taken, and pass as they are. */
  passes(bytes: Uint8Array, from: number, to: number): boolean {
    const known = this.#known;
    if (!known || this.#isEnded || this.#waitingBytes > 0 || this.#hasBareCr !== false) return false;
    const length = to - from;
    if (length > COPIED.length) return false;
    copyBytes(COPIED, 0, bytes, from, to);
    let events = 0;
    for (let at = 0; at < length; events += 1) {
      at = known.endOf(COPIED_VIEW, at, length);
      if (at < 0) return false;
    }
    this.events += events;
    return true;
  }

  /**
   * Takes the next bytes of the stream and returns the whole events that are there now. Throws
   * upstream_event_too_large on an event without end.
   */
  push(chunk: Uint8Array): Uint8Array {
    if (this.#isEnded) return NO_BYTES;
    // A blank line may begin in the last bytes of what waits; what stands before them was looked at.
    const searched = Math.max(0, this.#waitingBytes - 3);
    let bytes = this.#joined(chunk);
    let at = searched;
    if (this.#hasBareCr === undefined) {
      if (!this.#learnLineEnds(bytes)) return this.#keep(bytes, 0);
      at = 0;
      if (bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK)) {
        bytes = bytes.subarray(BYTE_ORDER_MARK.length);
      }
    }
    const known = this.#known;
    const view = known && new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let from = 0;
    let passed = 0;
    let kept: Uint8Array[] | undefined;
    let keptTo = 0;
    while (!this.#isEnded) {
      const endOfKnown = view ? known.endOf(view, from, bytes.length) : -1;
      if (endOfKnown >= 0) {
        this.events += 1;
        passed = from = endOfKnown;
        continue;
      }
      const end = indexAfterEvent(bytes, Math.max(from, at));
      if (end < 0) break;
      const taken = this.#takes(bytes, from, end);
      if (taken !== true) {
        kept ??= [];
        if (keptTo < from) kept.push(bytes.subarray(keptTo, from));
        if (taken !== false) kept.push(taken);
        keptTo = end;
      }
      passed = from = end;
    }
    if (this.#isEnded) this.#rest = bytes.subarray(from);
    else this.#keep(bytes, from);
    if (!kept) return bytes.subarray(0, passed);
    if (keptTo < passed) kept.push(bytes.subarray(keptTo, passed));
    const [only = NO_BYTES] = kept;
    return kept.length > 1 ? Buffer.concat(kept) : only;
  }

  /** The bytes that wait and the chunk, as one buffer. */
  #joined(chunk: Uint8Array): Buffer {
    const next = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (this.#hasBareCr === true) for (let at = 0; at < next.length; at += 1) if (next[at] === CR) next[at] = LF;
    if (this.#waitingBytes === 0) return next;
    const bytes = this.#waitingBytes + next.length;
    if (bytes > this.#waiting.length) {
      const larger = Buffer.allocUnsafe(bytes * 2);
      this.#waiting.copy(larger, 0, 0, this.#waitingBytes);
      this.#waiting = larger;
    }
    next.copy(this.#waiting, this.#waitingBytes);
    this.#joinedBytes = this.#waiting.subarray(0, bytes);
    return this.#joinedBytes;
  }

  /** False while the first line end, or what stands before it, is not all there. */
  #learnLineEnds(bytes: Buffer): boolean {
    const cr = bytes.indexOf(CR);
    const lf = bytes.indexOf(LF);
    if (cr < 0 && lf < 0) return false;
    const isCrFirst = cr >= 0 && (lf < 0 || cr < lf);
    if (isCrFirst && cr === bytes.length - 1) return false;
    this.#hasBareCr = isCrFirst && bytes[cr + 1] !== LF;
    if (this.#hasBareCr) for (let at = cr; at < bytes.length; at += 1) if (bytes[at] === CR) bytes[at] = LF;
    return true;
  }

  /** The bytes from there on wait. Where they wait already they stay; what was passed of the buffer is the reader's. */
  #keep(bytes: Buffer, from: number): Uint8Array {
    const rest = bytes.length - from;
    if (rest > MAX_EVENT_BYTES) {
      throw new GatewayError("upstream_event_too_large", "an event of the worker's stream is too large");
    }
    if (from > 0 || bytes !== this.#joinedBytes) this.#waiting = bytes.subarray(from);
    this.#waitingBytes = rest;
    return NO_BYTES;
  }

  /** True where the event passes as it is, false where it is left out; else what passes in its place. */
  #takes(bytes: Buffer, from: number, end: number): boolean | Uint8Array {
    const event = bytes.toString("utf8", from, end);
    const { name, data } = fieldsOf(event);
    // A name without data is nothing by the standard as well, and clients read it as an event whose data is empty.
    if (data === undefined) return name === undefined;
    if (data.trim() === "") return false;
    const verdict = this.#onEvent(name, data, event);
    if (typeof verdict === "object") {
      this.events += verdict.events;
      this.#isEnded = verdict.isLast;
      return verdict.bytes;
    }
    if (verdict === "pass") this.events += 1;
    else if (verdict === "last" || verdict === "stop") this.#isEnded = true;
    return verdict !== "stop" && verdict !== "drop";
  }
}

/** Index after the blank line that ends the event beginning at `from`, or -1. */
function indexAfterEvent(bytes: Buffer, from: number): number {
  let at = from;
  for (;;) {
    at = bytes.indexOf(LF, at);
    if (at < 0) return -1;
    const next = bytes[at + 1];
    if (next === LF) return at + 2;
    if (next === CR && bytes[at + 2] === LF) return at + 3;
    at += 1;
  }
}

interface Fields {
  readonly name: string | undefined;
  readonly data: string | undefined;
}

function fieldsOf(event: string): Fields {
  // Nearly every event is one line of data.
  if (event.startsWith("data: ") && event.endsWith("}\n\n") && event.indexOf("\n") === event.length - 2) {
    return { name: undefined, data: event.slice(6, -2) };
  }
  let name: string | undefined;
  let data: string | undefined;
  for (const line of event.split(/\r?\n/)) {
    const value = valueOf(line);
    // A name alone has an empty value.
    if (line.startsWith("data:") || line === "data") data = data === undefined ? value : `${data}\n${value}`;
    else if (line.startsWith("event:") || line === "event") name = value;
  }
  return { name, data };
}

/** What follows the colon, and one space; nothing where there is no colon. */
function valueOf(line: string): string {
  const from = line.indexOf(":") + 1;
  if (from === 0) return "";
  return line.slice(line[from] === " " ? from + 1 : from);
}
