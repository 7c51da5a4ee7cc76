import { unexpected } from "./json-literal.ts";
import { isPlain, StringWords } from "./string-words.ts";
import { BACKSLASH, QUOTE, SPACE } from "../../util/ascii.ts";

/** What `endOf` gives where it stopped within the string. */
export const WITHIN = 0;

const SMALL_U = 0x75;
/** How many first bytes of a string are read one by one. Most strings are shorter, and reading words needs a view of the body. */
const ONE_BY_ONE = 64;
/** After this many bytes without an escape, the runtime's own search takes over. */
const BY_WORDS = 512;

/**
 * Finds the ends of JSON strings. Text with an escape in each line is read in words of four bytes. In text without escapes the
 * runtime's own search is faster, because it reads many bytes in each cycle.
 */
export class JsonStrings {
  readonly #bytes: Buffer;
  /** The same bytes without Buffer's methods, because the search of a Buffer takes twice as long as Uint8Array's (Bun 1.4.5). */
  #plain: Uint8Array | undefined;
  #words: StringWords | undefined;
  /** Index of the first quote, and of the first backslash, after the place of the last search. */
  #quote = -1;
  #backslash = -1;
  /** Where the string begins that was read in part, and the index of its first byte that was not read. */
  #open = -1;
  #openAt = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /**
   * Index after the closing quote of the string that begins at `from`, or WITHIN where the string goes on behind `until`; the next
   * call for the same string goes on there. Throws SyntaxError.
   */
  endOf(from: number, until: number): number {
    const bytes = this.#bytes;
    let at = from === this.#open ? this.#openAt : from + 1;
    let searchFrom = at + BY_WORDS;
    while (at < from + ONE_BY_ONE && isPlain(bytes[at] ?? 0)) at += 1;
    while (at < bytes.length) {
      if (at > until) {
        this.#open = from;
        this.#openAt = at;
        return WITHIN;
      }
      const byte = bytes[at] ?? 0;
      if (byte === QUOTE) return at + 1;
      if (byte < SPACE) throw unexpected(at);
      if (byte === BACKSLASH) {
        at = escapeEnd(bytes, at) + 1;
        searchFrom = at + BY_WORDS;
      } else if (at < searchFrom) {
        this.#words ??= new StringWords(bytes);
        at = this.#words.plainEnd(at, searchFrom);
      } else {
        at = this.#search(at, until + 1);
      }
    }
    throw new SyntaxError("a string does not end");
  }

  /** The next quote or backslash from `at`, or `until` where that comes first, with no control character before it. */
  #search(at: number, until: number): number {
    if (this.#quote < at) this.#quote = this.#find(QUOTE, at);
    if (this.#backslash < at) this.#backslash = this.#find(BACKSLASH, at);
    const found = Math.min(this.#quote, this.#backslash);
    if (found === this.#bytes.length) throw new SyntaxError("a string does not end");
    this.#words ??= new StringWords(this.#bytes);
    const end = Math.min(found, until);
    if (this.#words.hasControl(at, end)) throw new SyntaxError("a control character in a string");
    return end;
  }

  #find(byte: number, from: number): number {
    const bytes = this.#bytes;
    this.#plain ??= new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const at = this.#plain.indexOf(byte, from);
    return at < 0 ? bytes.length : at;
  }
}

/** Index of the last byte of the escape that begins at `from`; the two escapes of a surrogate pair count as one. */
function escapeEnd(bytes: Buffer, from: number): number {
  const kind = bytes[from + 1] ?? 0;
  if (kind !== SMALL_U) {
    if (SIMPLE_ESCAPES[kind] === 1) return from + 1;
    throw unexpected(from);
  }
  const unit = codeUnit(bytes, from);
  if (unit < 0xd800 || unit > 0xdfff) return from + 5;
  const isEscape = bytes[from + 6] === BACKSLASH && bytes[from + 7] === SMALL_U;
  const low = isEscape ? codeUnit(bytes, from + 6) : 0;
  if (unit > 0xdbff || low < 0xdc00 || low > 0xdfff) throw new SyntaxError("half of a surrogate pair");
  return from + 11;
}

const SIMPLE_ESCAPES = new Uint8Array(256);
for (const byte of Buffer.from('"\\/bfnrt')) SIMPLE_ESCAPES[byte] = 1;

/** Value of each byte as a hexadecimal digit, or -1. */
const HEX_DIGITS = new Int8Array(256).fill(-1);
for (const [index, byte] of Buffer.from("0123456789abcdef").entries()) HEX_DIGITS[byte] = index;
for (const [index, byte] of Buffer.from("ABCDEF").entries()) HEX_DIGITS[byte] = 10 + index;

function codeUnit(bytes: Buffer, escape: number): number {
  let unit = 0;
  for (let at = escape + 2; at < escape + 6; at += 1) unit = (unit << 4) | (HEX_DIGITS[bytes[at] ?? 0] ?? -1);
  // A byte that is not a digit has -1, which makes the number negative.
  if (unit < 0) throw unexpected(escape);
  return unit;
}
