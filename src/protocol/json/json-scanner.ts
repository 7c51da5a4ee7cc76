import { integersEnd, literalEnd, unexpected } from "./json-literal.ts";
import { JsonStrings, WITHIN } from "./json-strings.ts";
import { knownName } from "./known-names.ts";
import { Members } from "./members.ts";
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  CR,
  LF,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  SPACE,
  TAB,
} from "../../util/ascii.ts";

/** Most levels of nested objects and arrays. Real requests have fewer than 20. */
export const MAX_DEPTH = 128;

/** Most members of the outermost object, because an entry is kept for each. Real requests have fewer than 100. */
export const MAX_MEMBERS = 4096;

const UNDERSCORE = 0x5f;
/** Bytes of `"__proto__"` when each of its characters is escaped. */
const LONGEST_PROTO = 2 + 9 * 6;

/** States: what the scanner expects next. */
const VALUE = 0;
const VALUE_OR_END = 1;
const KEY_OR_END = 2;
const KEY = 3;
const AFTER_KEY = 4;
const AFTER_VALUE = 5;
const DONE = 6;

/**
 * Reads JSON as bytes, in steps that the caller bounds, and records the places of the outermost object's members. So a large body
 * delays no other request, and one member can be replaced without touching the others. The bytes must be valid UTF-8.
 * Accepts what `JSON.parse` accepts (RFC 8259), except forms that JSON readers read differently: more than MAX_DEPTH levels, more than
 * MAX_MEMBERS outermost members, a name that occurs twice in the outermost object, half of a surrogate pair, 1e999, and numbers of
 * thousands of digits.
 */
export class JsonScanner {
  /** Places of the outermost object's members by name, as far as the object has been read. */
  readonly members = new Members();
  /** Whether a key `__proto__` was read, at any depth, escaped or not. */
  hasProtoKey = false;
  readonly #bytes: Buffer;
  readonly #strings: JsonStrings;
  readonly #stack = new Uint8Array(MAX_DEPTH);
  #at = 0;
  /** Where the present step ends. */
  #until = 0;
  /** Where the string begins within which the step before ended; -1 for none. */
  #openString = -1;
  #depth = 0;
  #next = VALUE;
  #key = "";
  #valueStart = 0;
  #commas = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = asBuffer(bytes);
    this.#strings = new JsonStrings(this.#bytes);
  }

  /** Whether the value is an object. */
  get isObject(): boolean {
    return this.#stack[0] === OPEN_BRACE;
  }

  /** Reads about `budget` more bytes, and at most some kilobytes beyond them. Returns true at the end. Throws SyntaxError. */
  run(budget: number): boolean {
    const bytes = this.#bytes;
    const until = Math.min(bytes.length, this.#at + budget);
    this.#until = until;
    if (this.#openString >= 0) this.#goOnInString();
    while (this.#at < until) {
      const byte = bytes[this.#at] ?? 0;
      if (byte > SPACE) this.#step(byte);
      else if (isSpace(byte)) this.#at += 1;
      else throw unexpected(this.#at);
    }
    if (this.#at < bytes.length) return false;
    if (this.#next !== DONE) throw new SyntaxError("the text ends before the value does");
    return true;
  }

  /** The end of the string that begins here. Where it is WITHIN, the step is over, and the next goes on in the string. */
  #stringEnd(): number {
    const end = this.#strings.endOf(this.#at, this.#until);
    if (end === WITHIN) {
      this.#openString = this.#at;
      this.#at = this.#until;
    }
    return end;
  }

  #goOnInString(): void {
    this.#at = this.#openString;
    this.#openString = -1;
    this.#step(QUOTE);
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
    if (this.#depth === 1) {
      this.#valueStart = this.#at;
      this.#commas = 0;
    }
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (this.#depth === MAX_DEPTH) throw new SyntaxError(`more than ${MAX_DEPTH} levels`);
      this.#stack[this.#depth] = byte;
      this.#depth += 1;
      this.#at += 1;
      this.#next = byte === OPEN_BRACE ? KEY_OR_END : VALUE_OR_END;
      return;
    }
    if (byte !== QUOTE && this.#stack[this.#depth - 1] === OPEN_BRACKET && this.#skipIntegers()) return;
    const end = byte === QUOTE ? this.#stringEnd() : literalEnd(this.#bytes, this.#at);
    if (end === WITHIN) return;
    this.#at = end;
    this.#valueEnded();
  }

  /** Skips integers of a list, which may be a hundred thousand token ids. Returns true if it skipped some and an entry follows. */
  #skipIntegers(): boolean {
    const end = integersEnd(this.#bytes, this.#at);
    if (end === this.#at) return false;
    if (this.#depth === 2) this.#commas = Number.NaN;
    this.#at = end;
    this.#next = VALUE;
    return true;
  }

  #readKey(): void {
    const end = this.#stringEnd();
    if (end === WITHIN) return;
    this.hasProtoKey ||= this.#isProto(end);
    if (this.#depth === 1) this.#key = this.#keyOf(this.#at, end);
    // The colon nearly always follows directly.
    const hasColon = this.#bytes[end] === COLON;
    this.#at = hasColon ? end + 1 : end;
    this.#next = hasColon ? VALUE : AFTER_KEY;
  }

  #keyOf(from: number, end: number): string {
    return knownName(this.#bytes, from + 1, end - 1) ?? String(JSON.parse(this.#bytes.toString("utf8", from, end)));
  }

  /** Whether the key that ends at `end` is `__proto__`, escaped or not. */
  #isProto(end: number): boolean {
    const first = this.#bytes[this.#at + 1];
    if ((first !== UNDERSCORE && first !== BACKSLASH) || end - this.#at > LONGEST_PROTO) return false;
    return JSON.parse(this.#bytes.toString("utf8", this.#at, end)) === "__proto__";
  }

  #afterValue(byte: number): void {
    if (byte === COMMA) {
      this.#afterComma();
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      this.#close(byte === CLOSE_BRACE ? OPEN_BRACE : OPEN_BRACKET);
    } else {
      throw unexpected(this.#at);
    }
  }

  #afterComma(): void {
    this.#at += 1;
    if (this.#depth === 2) this.#commas += 1;
    this.#next = this.#stack[this.#depth - 1] === OPEN_BRACE ? KEY : VALUE;
  }

  #close(opened: number): void {
    if (this.#stack[this.#depth - 1] !== opened) throw unexpected(this.#at);
    this.#depth -= 1;
    this.#at += 1;
    this.#valueEnded();
  }

  #valueEnded(): void {
    if (this.#depth === 1 && this.#stack[0] === OPEN_BRACE) {
      const isNew = this.members.add({
        name: this.#key,
        start: this.#valueStart,
        end: this.#at,
        commas: this.#commas,
      });
      if (!isNew) throw new SyntaxError(`the member ${JSON.stringify(this.#key)} is there twice`);
      if (this.members.size > MAX_MEMBERS) throw new SyntaxError(`more than ${MAX_MEMBERS} members`);
    }
    if (this.#depth === 0) this.#next = DONE;
    else if (this.#bytes[this.#at] === COMMA) this.#afterComma();
    else this.#next = AFTER_VALUE;
  }
}

function isSpace(byte: number): boolean {
  return byte === SPACE || byte === LF || byte === CR || byte === TAB;
}

/** A Buffer over the same memory. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
