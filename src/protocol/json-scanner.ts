/** Where a member's value stands in the bytes: from its first byte to after its last. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Objects and arrays within each other; beyond it a body is refused. Real requests have less than 20. */
export const MAX_DEPTH = 128;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COLON = 0x3a;
const COMMA = 0x2c;
const UNDERSCORE = 0x5f;
/** Bytes of `"__proto__"` with each of its characters escaped. */
const LONGEST_PROTO = 2 + 9 * 6;

/** What may come next. */
const VALUE = 0;
const VALUE_OR_END = 1;
const KEY_OR_END = 2;
const KEY = 3;
const AFTER_KEY = 4;
const AFTER_VALUE = 5;
const DONE = 6;

/**
 * Reads JSON as bytes, in steps that the caller bounds, and keeps only where the members of the outermost object are: for
 * bodies that are too large to be parsed at once beside other requests' streams, and for replacing a member without
 * touching the others. Accepts what `JSON.parse` accepts (RFC 8259) but for what readers disagree about: depth beyond
 * MAX_DEPTH, a name twice in the outermost object, half of a surrogate pair, 1e999. The bytes must be valid UTF-8.
 */
export class JsonScanner {
  /** Members of the outermost object, as far as it has been read. */
  readonly members = new Map<string, Span>();
  /** A key `__proto__` was met, at any depth and however it is written. */
  hasProtoKey = false;
  readonly #bytes: Buffer;
  readonly #strings: StringReader;
  readonly #stack = new Uint8Array(MAX_DEPTH);
  #at = 0;
  #depth = 0;
  #next = VALUE;
  #key = "";
  #valueStart = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#strings = new StringReader(this.#bytes);
  }

  /** What is read is an object and not another value. */
  get isObject(): boolean {
    return this.#stack[0] === OPEN_BRACE;
  }

  /** Reads on for about `budget` bytes. True at the end. Throws SyntaxError. */
  run(budget: number): boolean {
    const until = this.#at + budget;
    while (this.#at < until) {
      this.#skipSpace();
      if (this.#at >= this.#bytes.length) {
        if (this.#next !== DONE) throw new SyntaxError("the text ends before the value does");
        return true;
      }
      this.#step(this.#bytes[this.#at] ?? 0);
    }
    return false;
  }

  #step(byte: number): void {
    switch (this.#next) {
      case KEY_OR_END:
      case KEY:
        if (byte === CLOSE_BRACE && this.#next === KEY_OR_END) this.#close(OPEN_BRACE);
        else if (byte === QUOTE) this.#readKey();
        else throw unexpected(this.#at);
        return;
      case AFTER_KEY:
        if (byte !== COLON) throw unexpected(this.#at);
        this.#at += 1;
        this.#next = VALUE;
        return;
      case AFTER_VALUE:
        this.#afterValue(byte);
        return;
      case VALUE:
      case VALUE_OR_END:
        if (byte === CLOSE_BRACKET && this.#next === VALUE_OR_END) this.#close(OPEN_BRACKET);
        else this.#readValue(byte);
        return;
      default:
        throw unexpected(this.#at);
    }
  }

  #readValue(byte: number): void {
    if (this.#depth === 1) this.#valueStart = this.#at;
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (this.#depth === MAX_DEPTH) throw new SyntaxError(`more than ${MAX_DEPTH} levels`);
      this.#stack[this.#depth] = byte;
      this.#depth += 1;
      this.#at += 1;
      this.#next = byte === OPEN_BRACE ? KEY_OR_END : VALUE_OR_END;
      return;
    }
    if (byte === QUOTE) this.#at = this.#strings.endOf(this.#at);
    else this.#at = literalEnd(this.#bytes, this.#at);
    this.#valueEnded();
  }

  #readKey(): void {
    const end = this.#strings.endOf(this.#at);
    this.hasProtoKey ||= this.#isProto(end);
    if (this.#depth === 1) this.#key = String(JSON.parse(this.#bytes.toString("utf8", this.#at, end)));
    this.#at = end;
    this.#next = AFTER_KEY;
  }

  /** Is the key that ends here `__proto__`, escaped or not? */
  #isProto(end: number): boolean {
    const first = this.#bytes[this.#at + 1];
    if ((first !== UNDERSCORE && first !== BACKSLASH) || end - this.#at > LONGEST_PROTO) return false;
    return JSON.parse(this.#bytes.toString("utf8", this.#at, end)) === "__proto__";
  }

  #afterValue(byte: number): void {
    const container = this.#stack[this.#depth - 1];
    if (byte === COMMA) {
      this.#at += 1;
      this.#next = container === OPEN_BRACE ? KEY : VALUE;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      this.#close(byte === CLOSE_BRACE ? OPEN_BRACE : OPEN_BRACKET);
    } else {
      throw unexpected(this.#at);
    }
  }

  #close(opened: number): void {
    if (this.#stack[this.#depth - 1] !== opened) throw unexpected(this.#at);
    this.#depth -= 1;
    this.#at += 1;
    this.#valueEnded();
  }

  #valueEnded(): void {
    if (this.#depth === 1 && this.#stack[0] === OPEN_BRACE) {
      if (this.members.has(this.#key)) throw new SyntaxError(`the member ${JSON.stringify(this.#key)} is there twice`);
      this.members.set(this.#key, { start: this.#valueStart, end: this.#at });
    }
    this.#next = this.#depth === 0 ? DONE : AFTER_VALUE;
  }

  #skipSpace(): void {
    for (; this.#at < this.#bytes.length; this.#at += 1) {
      const byte = this.#bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
    }
  }
}

/** Reads all of it at once. Throws SyntaxError. */
export function scanMembers(bytes: Uint8Array): ReadonlyMap<string, Span> {
  const scanner = new JsonScanner(bytes);
  scanner.run(Number.POSITIVE_INFINITY);
  return scanner.members;
}

/** Bytes of a string that are looked at one by one before the rest of it is searched. */
const SHORT_STRING_BYTES = 48;

/** Finds where strings end. Long ones are searched by the runtime's own search, at several bytes a cycle. */
class StringReader {
  readonly #bytes: Buffer;
  /** The bytes as words; the first begins at `#wordsFrom`. */
  readonly #words: Int32Array;
  readonly #wordsFrom: number;
  /** Where the next quote and the next backslash after the last search are. */
  #quote = -1;
  #backslash = -1;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#wordsFrom = (4 - (bytes.byteOffset % 4)) % 4;
    const words = Math.max(0, (bytes.length - this.#wordsFrom) >> 2);
    this.#words = new Int32Array(bytes.buffer, words === 0 ? 0 : bytes.byteOffset + this.#wordsFrom, words);
  }

  /** Index after the closing quote of the string that begins at `from`. Throws SyntaxError. */
  endOf(from: number): number {
    const bytes = this.#bytes;
    let at = from + 1;
    let shortUntil = at + SHORT_STRING_BYTES;
    while (at < bytes.length) {
      if (at >= shortUntil) {
        const found = this.#search(at);
        if (bytes[found] === QUOTE) return found + 1;
        at = escapeEnd(bytes, found) + 1;
        shortUntil = at + SHORT_STRING_BYTES;
        continue;
      }
      const byte = bytes[at] ?? 0;
      if (byte === QUOTE) return at + 1;
      if (byte < 0x20) throw unexpected(at);
      if (byte === BACKSLASH) at = escapeEnd(bytes, at);
      at += 1;
    }
    throw new SyntaxError("a string does not end");
  }

  /** The next quote or backslash from `at`, with no control character before it. */
  #search(at: number): number {
    if (this.#quote < at) this.#quote = this.#find(QUOTE, at);
    if (this.#backslash < at) this.#backslash = this.#find(BACKSLASH, at);
    const found = Math.min(this.#quote, this.#backslash);
    if (found === this.#bytes.length) throw new SyntaxError("a string does not end");
    if (this.#hasControl(at, found)) throw new SyntaxError("a control character in a string");
    return found;
  }

  #find(byte: number, from: number): number {
    const at = this.#bytes.indexOf(byte, from);
    return at < 0 ? this.#bytes.length : at;
  }

  /** Four bytes at a time: subtracting 0x20 borrows from the top bit of those below it. */
  #hasControl(from: number, to: number): boolean {
    const first = Math.min(to, from + ((4 - ((from - this.#wordsFrom) & 3)) & 3));
    const last = first + ((to - first) & ~3);
    let single = 0;
    for (let at = from; at < first; at += 1) single |= (this.#bytes[at] ?? 0) - 0x20;
    for (let at = last; at < to; at += 1) single |= (this.#bytes[at] ?? 0) - 0x20;
    if (single < 0) return true;
    let found = 0;
    const end = (last - this.#wordsFrom) >> 2;
    for (let index = (first - this.#wordsFrom) >> 2; index < end; index += 1) {
      const word = this.#words[index] ?? 0;
      found |= (word - 0x20202020) & ~word;
    }
    return (found & 0x80808080) !== 0;
  }
}

/** Index of the last byte of the escape that begins at `from`; a surrogate pair is one. */
function escapeEnd(bytes: Buffer, from: number): number {
  const kind = bytes[from + 1] ?? 0;
  if (kind !== 0x75) {
    if (SIMPLE_ESCAPES[kind] === 1) return from + 1;
    throw unexpected(from);
  }
  const unit = codeUnit(bytes, from);
  if (unit >= 0xdc00 && unit <= 0xdfff) throw new SyntaxError("half of a surrogate pair");
  if (unit < 0xd800 || unit > 0xdbff) return from + 5;
  const isEscape = bytes[from + 6] === BACKSLASH && bytes[from + 7] === 0x75;
  const low = isEscape ? codeUnit(bytes, from + 6) : 0;
  if (low < 0xdc00 || low > 0xdfff) throw new SyntaxError("half of a surrogate pair");
  return from + 11;
}

const SIMPLE_ESCAPES = new Uint8Array(256);
for (const byte of Buffer.from('"\\/bfnrt')) SIMPLE_ESCAPES[byte] = 1;

function codeUnit(bytes: Buffer, escape: number): number {
  const digits = bytes.toString("latin1", escape + 2, escape + 6);
  if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw unexpected(escape);
  return Number.parseInt(digits, 16);
}

/** Index after the number, `true`, `false` or `null` that begins at `from`. */
function literalEnd(bytes: Buffer, from: number): number {
  let end = from;
  while (end < bytes.length && isLiteralByte(bytes[end] ?? 0)) end += 1;
  // No number is longer than that for a reason.
  const literal = bytes.toString("latin1", from, Math.min(end, from + 1024));
  if (literal === "true" || literal === "false" || literal === "null") return end;
  // A number that no double holds is another one to each reader.
  if (!NUMBER.test(literal) || !Number.isFinite(Number(literal))) throw unexpected(from);
  return end;
}

const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;

function isLiteralByte(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    byte === 0x2d ||
    byte === 0x2b ||
    byte === 0x2e ||
    byte === 0x45
  );
}

function unexpected(at: number): SyntaxError {
  return new SyntaxError(`unexpected byte at ${at}`);
}
