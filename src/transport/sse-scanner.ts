import { GatewayError } from "../errors/errors.ts";

/** What to look for in the events of a stream. */
export interface SseMarkers {
  /** An event with one of these is the last. */
  readonly end: readonly string[];
  /** An event with one of these finishes an answer (the end marker still follows). */
  readonly finish: readonly string[];
  /** An event with this carries token counts. */
  readonly usage: string;
}

/** Longest single event; a picture in base64 fits. */
const MAX_EVENT_BYTES = 4 * 1024 * 1024;
const LF = 10;
const CR = 13;
const COLON = 58;

/**
 * Reads a stream of server-sent events on its way through, without changing an event: counts events, notices the end, keeps
 * the events that carry usage. The format is that of the HTML standard, lines ended by LF or CRLF.
 */
export class SseScanner {
  /** Events so far, comments and the end marker left out. */
  events = 0;
  /** The end marker has come. */
  isEnded = false;
  /** An answer has said why it stopped. */
  isFinished = false;
  /** `data` of the first and of the last event with token counts. */
  firstUsage: string | undefined;
  lastUsage: string | undefined;
  readonly #markers: SseMarkers;
  #carry: Uint8Array | undefined;

  constructor(markers: SseMarkers) {
    this.#markers = markers;
  }

  /**
   * Takes the next bytes of the stream and returns the whole events that are there now, as they came: a part of an
   * event waits for its rest, so that a stream which is cut never ends within one, and what follows the end marker is
   * dropped. Throws upstream_protocol_error on an event without end.
   */
  push(chunk: Uint8Array): Uint8Array {
    const carry = this.#carry;
    const bytes = carry ? Buffer.concat([carry, chunk]) : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let from = 0;
    while (!this.isEnded) {
      const end = indexAfterEvent(bytes, from);
      if (end < 0) break;
      this.#onEvent(bytes, from, end);
      from = end;
    }
    this.#carry = from < bytes.length && !this.isEnded ? bytes.subarray(from) : undefined;
    if ((this.#carry?.length ?? 0) > MAX_EVENT_BYTES) {
      throw new GatewayError("upstream_protocol_error", "an event of the worker's stream is too large");
    }
    return bytes.subarray(0, from);
  }

  #onEvent(bytes: Buffer, from: number, end: number): void {
    const first = bytes[from];
    if (first === COLON || first === LF || first === CR) return;
    const text = bytes.toString("latin1", from, end);
    if (includesAny(text, this.#markers.end)) this.isEnded = true;
    else this.events += 1;
    if (includesAny(text, this.#markers.finish)) this.isFinished = true;
    if (text.includes(this.#markers.usage)) {
      this.lastUsage = dataOf(text);
      this.firstUsage ??= this.lastUsage;
    }
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

function includesAny(text: string, markers: readonly string[]): boolean {
  for (const marker of markers) if (text.includes(marker)) return true;
  return false;
}

/** The `data` lines of an event. */
function dataOf(event: string): string {
  const lines = event.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  return lines.map((line) => line.slice(line.startsWith("data: ") ? 6 : 5)).join("\n");
}
