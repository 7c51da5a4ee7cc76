import type { FieldReader } from "../transport/http1/fields.ts";
import { SseFramer } from "../transport/sse-framer.ts";
import type { UpstreamResponse } from "../transport/upstream.ts";
import { CR, LF, SPACE } from "../util/ascii.ts";

/** A worker's answer that is changed on its way: a stream as whole events, wherever its bytes were cut, another at once. */
export abstract class EventResponse implements UpstreamResponse {
  readonly #inner: UpstreamResponse;
  readonly #framer = new SseFramer(() => "pass");

  constructor(inner: UpstreamResponse) {
    this.#inner = inner;
  }

  get status(): number {
    return this.#inner.status;
  }

  get headers(): FieldReader {
    return this.#inner.headers;
  }

  read(): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    for (;;) {
      const next = this.#inner.read();
      if (next instanceof Promise) return this.#readLater(next);
      if (next === undefined) return undefined;
      const changed = this.#changed(next);
      if (changed instanceof Promise || changed.length > 0) return changed;
    }
  }

  begun(): void {
    this.#inner.begun?.();
  }

  async bytes(maxBytes: number): Promise<Uint8Array> {
    const body = await this.#inner.bytes(maxBytes);
    const isAnswer = this.status >= 200 && this.status < 300;
    return isAnswer ? this.changeWhole(asBuffer(body)) : body;
  }

  discard(): void {
    this.#inner.discard();
  }

  /** Other bytes for whole events, one at least; none where nothing of them is left. */
  protected abstract changeEvents(events: Buffer): Uint8Array | Promise<Uint8Array>;

  /** Other bytes for an answer that is no stream. */
  protected abstract changeWhole(body: Buffer): Uint8Array | Promise<Uint8Array>;

  async #readLater(pending: Promise<Uint8Array | undefined>): Promise<Uint8Array | undefined> {
    const next = await pending;
    if (next === undefined) return undefined;
    const changed = await this.#changed(next);
    return changed.length > 0 ? changed : this.read();
  }

  #changed(chunk: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const events = this.#framer.push(chunk);
    return events.length > 0 ? this.changeEvents(asBuffer(events)) : events;
  }
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Where the events are; the bytes are whole ones. */
export function* eventsIn(bytes: Buffer): Generator<Span> {
  let start = 0;
  for (const { index, 0: blank } of bytes.toString("latin1").matchAll(/\n\r?\n/g)) {
    const end = index + blank.length;
    yield { start, end };
    start = end;
  }
  if (start < bytes.length) yield { start, end: bytes.length };
}

/** Where the event's data is, among its other lines. Data of several lines is left alone: no engine writes JSON so. */
export function dataOf(event: Buffer): Span | undefined {
  let found: Span | undefined;
  for (let from = 0; from < event.length;) {
    const end = event.indexOf(LF, from);
    if (event.subarray(from, from + DATA.length).equals(DATA)) {
      if (found) return undefined;
      const start = from + DATA.length;
      found = { start: event[start] === SPACE ? start + 1 : start, end: event[end - 1] === CR ? end - 1 : end };
    }
    from = end + 1;
  }
  return found;
}

const DATA = Buffer.from("data:");

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
