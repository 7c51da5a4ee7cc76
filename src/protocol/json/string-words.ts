import { BACKSLASH, QUOTE, SPACE } from "../../util/ascii.ts";

/** Words that are looked at together for control characters. */
const PIECE_WORDS = 1024;
/** Each byte of a word. */
const ONES = 0x01010101;
const SPACES = 0x20202020;
const QUOTES = 0x22222222;
const BACKSLASHES = 0x5c5c5c5c;
const TOP_BITS = 0x80808080;

/** Whether a byte within a JSON string stands for itself: it is no quote, backslash or control character. */
export function isPlain(byte: number): boolean {
  return byte >= SPACE && byte !== QUOTE && byte !== BACKSLASH;
}

/** Looks at bytes four at a time for what the runtime's own search cannot find: one of several bytes, or a range of them. */
export class StringWords {
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  /** Where the first word begins. */
  readonly #from: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#from = (4 - (bytes.byteOffset % 4)) % 4;
    const words = Math.max(0, (bytes.length - this.#from) >> 2);
    this.#words = new Int32Array(bytes.buffer, words === 0 ? 0 : bytes.byteOffset + this.#from, words);
  }

  /** Index of the first quote, backslash or control character from `at` on. Where none comes before `until`, the index of another byte near `until`. */
  plainEnd(at: number, until: number): number {
    const aligned = at + ((this.#from - at) & 3);
    const end = this.#oneByOne(at, Math.min(aligned, this.#bytes.length));
    if (end < aligned || aligned >= until) return end;
    const words = this.#words;
    const last = Math.min(words.length, (until - this.#from) >> 2);
    let index = (aligned - this.#from) >> 2;
    for (; index < last; index += 1) {
      const word = words[index] ?? 0;
      // Subtracting borrows from the top bit of a byte that is less. None of the three is beyond ASCII, but letters are.
      const found = ((word ^ QUOTES) - ONES) | ((word ^ BACKSLASHES) - ONES) | (word - SPACES);
      if ((found & ~word & TOP_BITS) !== 0) break;
    }
    const from = this.#from + index * 4;
    return this.#oneByOne(from, Math.min(from + 4, this.#bytes.length));
  }

  #oneByOne(from: number, to: number): number {
    let at = from;
    while (at < to && isPlain(this.#bytes[at] ?? 0)) at += 1;
    return at;
  }

  /** Whether a control character stands from `from` to before `to`. */
  hasControl(from: number, to: number): boolean {
    const first = Math.min(to, from + ((4 - ((from - this.#from) & 3)) & 3));
    const last = first + ((to - first) & ~3);
    let single = 0;
    for (let at = from; at < first; at += 1) single |= (this.#bytes[at] ?? 0) - 0x20;
    for (let at = last; at < to; at += 1) single |= (this.#bytes[at] ?? 0) - 0x20;
    if (single < 0) return true;
    const end = (last - this.#from) >> 2;
    let index = (first - this.#from) >> 2;
    // `mayHaveControl` is quicker and takes letters beyond ASCII for control characters; such letters come many together.
    while (index < end && !mayHaveControl(this.#words, index, Math.min(end, index + PIECE_WORDS))) index += PIECE_WORDS;
    return hasControl(this.#words, index, end);
  }
}

/** 29 µs for 400 KB, where the exact look takes 64 (Bun 1.4.5, AMD EPYC, 2026-11-24). */
function mayHaveControl(words: Int32Array, from: number, to: number): boolean {
  let found = 0;
  let at = from;
  for (; at < to - 3; at += 4) {
    found |= (words[at] ?? 0) - SPACES;
    found |= (words[at + 1] ?? 0) - SPACES;
    found |= (words[at + 2] ?? 0) - SPACES;
    found |= (words[at + 3] ?? 0) - SPACES;
  }
  for (; at < to; at += 1) found |= (words[at] ?? 0) - SPACES;
  return (found & TOP_BITS) !== 0;
}

function hasControl(words: Int32Array, from: number, to: number): boolean {
  let found = 0;
  for (let at = from; at < to; at += 1) {
    const word = words[at] ?? 0;
    found |= (word - SPACES) & ~word;
  }
  return (found & TOP_BITS) !== 0;
}
