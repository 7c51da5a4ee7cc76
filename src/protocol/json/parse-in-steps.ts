import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from "../../util/ascii.ts";
import { nextTurn } from "../../util/next-turn.ts";
import { keepWritten, parseWithNumbers, writtenNumbers } from "./written-numbers.ts";

/** So many bytes are parsed at once, which takes two or three milliseconds. */
export const PARSE_STEP_BYTES = 256 * 1024;

/**
 * `parseWithNumbers` in steps, between which other requests run. `bytes` must be JSON whose form has been checked. `check` is
 * called before each step but the first: it throws where the client has left, and the parsing rejects with what it threw.
 */
export async function parseInSteps(
  bytes: Uint8Array,
  check: () => void,
  stepBytes = PARSE_STEP_BYTES,
): Promise<unknown> {
  const parsing = new StepParser(bytes, stepBytes).value();
  for (;;) {
    const step = parsing.next();
    if (step.done === true) return step.value;
    await nextTurn();
    check();
  }
}

/** So many members of a large object take as long as a step of text. */
const MEMBERS_A_STEP = 1000;

type Parsing<T = unknown> = Generator<undefined, T>;

class StepParser {
  readonly #bytes: Buffer;
  readonly #stepBytes: number;
  #at = 0;
  /** Bytes parsed since the last pause. */
  #spent = 0;

  constructor(bytes: Uint8Array, stepBytes: number) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#stepBytes = stepBytes;
  }

  /** Parses the value at `#at`, and leaves `#at` behind it. */
  *value(): Parsing {
    this.#skipSpace();
    const end = this.#endWithin(this.#at);
    if (end >= 0) return yield* this.#parse(this.#at, end);
    const first = this.#bytes[this.#at];
    if (first === OPEN_BRACKET) return yield* this.#list();
    if (first === OPEN_BRACE) return yield* this.#object();
    return first === QUOTE ? yield* this.#string() : yield* this.#parse(this.#at, this.#wordEnd(this.#at));
  }

  /** Parses a long string in parts that end neither within an escape nor within a character. */
  *#string(): Parsing<string> {
    let text = "";
    for (let from = this.#at + 1; ;) {
      const limit = Math.min(this.#bytes.length, from + this.#stepBytes);
      const end = this.#stringEnd(from - 1, limit);
      const to = end < 0 ? this.#cutBefore(from, limit) : end - 1;
      const part: unknown = JSON.parse(`"${this.#bytes.toString("utf8", from, to)}"`);
      text += String(part);
      yield* this.#spend(to - from);
      from = to;
      if (end < 0) continue;
      this.#at = end;
      return text;
    }
  }

  /** Parses short entries that stand together with one call: a call for each number of a long list would cost more than the list. */
  *#list(): Parsing<unknown[]> {
    const list: unknown[] = [];
    this.#at += 1;
    let from = this.#at;
    for (;;) {
      this.#skipSpace();
      if (this.#bytes[this.#at] === CLOSE_BRACKET) break;
      const end = this.#endWithin(this.#at);
      if (end < 0) {
        yield* this.#addTogether(list, from, this.#at);
        const start = this.#at;
        const value = yield* this.value();
        this.#note(list, String(list.push(value) - 1), value, start);
      } else {
        this.#at = end;
      }
      this.#skipSpace();
      const isLast = this.#bytes[this.#at] === CLOSE_BRACKET;
      if (end >= 0 && (isLast || this.#at - from >= this.#stepBytes)) {
        yield* this.#addTogether(list, from, this.#at);
        from = this.#at + 1;
      } else if (end < 0) from = this.#at + 1;
      if (isLast) break;
      this.#at += 1;
    }
    this.#at += 1;
    return list;
  }

  /** Parses the entries from `from` to `end`; a comma may stand behind the last one. */
  *#addTogether(list: unknown[], from: number, end: number): Parsing<void> {
    const text = this.#bytes.toString("utf8", from, end).trim();
    if (text === "") return;
    const entries = parseWithNumbers(`[${text.endsWith(",") ? text.slice(0, -1) : text}]`);
    if (Array.isArray(entries)) this.#append(list, entries);
    yield* this.#spend(end - from);
  }

  /** Notes how a number was written that was parsed by itself. */
  #note(holder: object, key: string, value: unknown, from: number): void {
    if (typeof value === "number") keepWritten(holder, key, value, this.#bytes.toString("latin1", from, this.#at));
  }

  #append(list: unknown[], entries: readonly unknown[]): void {
    const offset = list.length;
    for (const entry of entries) list.push(entry);
    for (const [index, source] of Object.entries(writtenNumbers(entries) ?? {})) {
      keepWritten(list, String(offset + Number(index)), Number(source), source);
    }
  }

  *#object(): Parsing<Record<string, unknown>> {
    const object: Record<string, unknown> = {};
    this.#at += 1;
    for (;;) {
      this.#skipSpace();
      if (this.#bytes[this.#at] === CLOSE_BRACE) break;
      const key = yield* this.#string();
      this.#skipSpace();
      if (this.#bytes[this.#at] === COLON) this.#at += 1;
      this.#skipSpace();
      const from = this.#at;
      const value = yield* this.value();
      this.#note(object, key, value, from);
      yield* this.#spend(this.#stepBytes / MEMBERS_A_STEP);
      // A member that is named __proto__ is a member, as in JSON.parse: an assignment would set the prototype.
      Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
      this.#skipSpace();
      if (this.#bytes[this.#at] === COMMA) this.#at += 1;
    }
    this.#at += 1;
    return object;
  }

  *#parse(from: number, end: number): Parsing {
    this.#at = end;
    const value = parseWithNumbers(this.#bytes.toString("utf8", from, end));
    yield* this.#spend(end - from);
    return value;
  }

  *#spend(bytes: number): Parsing<void> {
    this.#spent += bytes;
    if (this.#spent < this.#stepBytes) return;
    this.#spent = 0;
    yield undefined;
  }

  #skipSpace(): void {
    while (isSpace(this.#bytes[this.#at])) this.#at += 1;
  }

  /** Index behind the value at `from`, or -1 where the value is longer than a step. */
  #endWithin(from: number): number {
    const bytes = this.#bytes;
    const limit = Math.min(bytes.length, from + this.#stepBytes);
    let depth = 0;
    for (let at = from; at < limit;) {
      const byte = bytes[at];
      if (byte === QUOTE) {
        at = this.#stringEnd(at, limit);
        if (at < 0) return -1;
        if (depth === 0) return at;
        continue;
      }
      if (byte === OPEN_BRACKET || byte === OPEN_BRACE) depth += 1;
      else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) {
        // The end of the list or object around a number or a word.
        if (depth === 0) return at;
        depth -= 1;
        if (depth === 0) return at + 1;
      } else if (depth === 0 && (byte === COMMA || isSpace(byte))) return at;
      at += 1;
    }
    return limit === bytes.length && depth === 0 ? limit : -1;
  }

  /** Index behind the closing quote of the string at `from`, or -1 where the quote is not before `limit`. */
  #stringEnd(from: number, limit: number): number {
    const near = Math.min(limit, from + LOOKED_AT);
    for (let at = from + 1; at < near; at += 1) {
      if (this.#bytes[at] === QUOTE) return at + 1;
      if (this.#bytes[at] === BACKSLASH) at += 1;
    }
    // Uint8Array's own search is faster than Buffer's, and this view keeps it before the limit.
    const bytes = new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset, limit);
    for (let at = bytes.indexOf(QUOTE, from + 1); at >= 0; at = bytes.indexOf(QUOTE, at + 1)) {
      if (this.#backslashesBefore(at, from + 1) % 2 === 0) return at + 1;
    }
    return -1;
  }

  #backslashesBefore(at: number, from: number): number {
    let first = at;
    while (first > from && this.#bytes[first - 1] === BACKSLASH) first -= 1;
    return at - first;
  }

  /** Index behind the number, `true`, `false` or `null` at `from`. */
  #wordEnd(from: number): number {
    let at = from;
    while (at < this.#bytes.length && !isDelimiter(this.#bytes[at])) at += 1;
    return at;
  }

  /** The last index up to `to` at which a string's part from `from` on may end; at least one character is before it. */
  #cutBefore(from: number, to: number): number {
    let at = to;
    while (at > from && !this.#isCut(from, at)) at -= 1;
    if (at > from) return at;
    for (at = to + 1; !this.#isCut(from, at);) at += 1;
    return at;
  }

  #isCut(from: number, at: number): boolean {
    const bytes = this.#bytes;
    if (isContinuation(bytes[at])) return false;
    // An escape that begins in the last five bytes may reach over the place.
    for (let start = Math.max(from, at - ESCAPE_BYTES + 1); start < at; start += 1) {
      if (bytes[start] !== BACKSLASH || this.#backslashesBefore(start, from) % 2 !== 0) continue;
      const length = bytes[start + 1] === SMALL_U ? ESCAPE_BYTES : 2;
      if (start + length > at) return false;
    }
    return true;
  }
}

/** The first bytes of a string are looked at one by one, as most strings end within them. */
const LOOKED_AT = 64;
/** `\\uXXXX`. */
const ESCAPE_BYTES = 6;
const SMALL_U = 0x75;

/** Whether a byte goes on with a character of several bytes. */
function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

function isDelimiter(byte: number | undefined): boolean {
  return byte === COMMA || byte === CLOSE_BRACKET || byte === CLOSE_BRACE || isSpace(byte);
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
