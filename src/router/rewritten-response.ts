import { SseFramer } from "../transport/sse-framer.ts";
import type { UpstreamResponse } from "../transport/upstream.ts";

/** Another form of one answer, or of the data of one event; the same bytes where nothing changes. */
export type Rewrite = (json: Uint8Array) => Uint8Array | Promise<Uint8Array>;

/** Only what has this text in it is looked at. */
export interface RewriteRule {
  readonly marker: string;
  readonly rewrite: Rewrite;
}

const DATA = Buffer.from("data:");
const SPACE = 0x20;

/** A worker's answer of which some events are changed on their way, each whole, wherever its bytes were cut. */
export class RewrittenResponse implements UpstreamResponse {
  readonly #inner: UpstreamResponse;
  readonly #rule: RewriteRule;
  readonly #framer = new SseFramer(() => "pass");

  constructor(inner: UpstreamResponse, rule: RewriteRule) {
    this.#inner = inner;
    this.#rule = rule;
  }

  get status(): number {
    return this.#inner.status;
  }

  get headers(): ReadonlyMap<string, string> {
    return this.#inner.headers;
  }

  read(): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    for (;;) {
      const next = this.#inner.read();
      if (next instanceof Promise) return this.#readLater(next);
      if (next === undefined) return undefined;
      const events = this.#framer.push(next);
      if (events.length > 0) return this.#rewritten(events);
    }
  }

  async bytes(maxBytes: number): Promise<Uint8Array> {
    const body = await this.#inner.bytes(maxBytes);
    const isAnswer = this.status >= 200 && this.status < 300;
    return isAnswer && asBuffer(body).includes(this.#rule.marker) ? this.#rule.rewrite(body) : body;
  }

  discard(): void {
    this.#inner.discard();
  }

  async #readLater(pending: Promise<Uint8Array | undefined>): Promise<Uint8Array | undefined> {
    const next = await pending;
    if (next === undefined) return undefined;
    const events = this.#framer.push(next);
    return events.length > 0 ? this.#rewritten(events) : this.read();
  }

  #rewritten(events: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const whole = asBuffer(events);
    return whole.includes(this.#rule.marker) ? this.#rewriteEach(whole) : events;
  }

  async #rewriteEach(events: Buffer): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for (const { start, end } of eventsIn(events)) {
      const event = events.subarray(start, end);
      const data = event.includes(this.#rule.marker) ? dataOf(event) : undefined;
      if (!data) pieces.push(event);
      else {
        const json = await this.#rule.rewrite(event.subarray(data.start, data.end));
        pieces.push(event.subarray(0, data.start), json, event.subarray(data.end));
      }
    }
    return Buffer.concat(pieces);
  }
}

interface Span {
  readonly start: number;
  readonly end: number;
}

function* eventsIn(bytes: Buffer): Generator<Span> {
  let start = 0;
  for (const { index, 0: blank } of bytes.toString("latin1").matchAll(/\n\r?\n/g)) {
    const end = index + blank.length;
    yield { start, end };
    start = end;
  }
  if (start < bytes.length) yield { start, end: bytes.length };
}

/** Where the event's data is, among its other lines. Data of several lines is left alone: no engine writes JSON so. */
function dataOf(event: Buffer): Span | undefined {
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

const LF = 10;
const CR = 13;

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
