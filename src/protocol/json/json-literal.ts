import { COMMA } from "../../util/ascii.ts";

const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
/** The bit that differs between `e` and `E`. */
const LOWER_CASE = 0x20;
const EXPONENT = 0x65;
/** An integer with this many digits is never too large for a double. */
const FINITE_DIGITS = 300;
/** Most bytes of a number. Python's JSON reader, which most engines use, refuses integers of more than 4,300 digits. */
const MOST_NUMBER_BYTES = 4096;
/** Most bytes that `integersEnd` looks at. */
const MOST_INTEGER_BYTES = 4096;

const TRUE = Buffer.from("true");
const FALSE = Buffer.from("false");
const NULL = Buffer.from("null");

/** Index after the number, `true`, `false` or `null` that begins at `from`. Throws SyntaxError. */
export function literalEnd(bytes: Buffer, from: number): number {
  const first = bytes[from] ?? 0;
  if (first === MINUS || isDigit(first)) return numberEnd(bytes, from);
  return wordEnd(bytes, from, first === TRUE[0] ? TRUE : first === FALSE[0] ? FALSE : NULL);
}

function wordEnd(bytes: Buffer, from: number, word: Uint8Array): number {
  for (let at = 0; at < word.length; at += 1) if (bytes[from + at] !== word[at]) throw unexpected(from);
  return from + word.length;
}

/**
 * Skips integers that are each directly followed by a comma, as in a list of token ids. Returns the index after the last of these
 * commas; `from` if no such integer begins there. Looks at 4,096 bytes at most.
 */
export function integersEnd(bytes: Buffer, from: number): number {
  const until = Math.min(bytes.length, from + MOST_INTEGER_BYTES);
  let entry = from;
  for (let at = from; at < until; at += 1) {
    const byte = bytes[at] ?? 0;
    if (isDigit(byte)) continue;
    const digits = at - entry;
    if (byte !== COMMA || digits === 0 || digits > FINITE_DIGITS || (bytes[entry] === ZERO && digits > 1)) break;
    entry = at + 1;
  }
  return entry;
}

function numberEnd(bytes: Buffer, from: number): number {
  const first = bytes[from] === MINUS ? from + 1 : from;
  let at = bytes[first] === ZERO ? first + 1 : digitsEnd(bytes, first);
  let isFinite = at - first < FINITE_DIGITS;
  if (bytes[at] === POINT) at = digitsEnd(bytes, at + 1);
  if (((bytes[at] ?? 0) | LOWER_CASE) === EXPONENT) {
    const sign = bytes[at + 1];
    at = digitsEnd(bytes, sign === MINUS || sign === PLUS ? at + 2 : at + 1);
    isFinite = false;
  }
  // JSON readers differ on a number that is too large for a double.
  if (!isFinite && !Number.isFinite(Number(bytes.toString("latin1", from, at)))) throw unexpected(from);
  return at;
}

/** Index after the digits from `from` on. Throws SyntaxError if there is no digit, or if there are more than a number may have. */
function digitsEnd(bytes: Buffer, from: number): number {
  const until = from + MOST_NUMBER_BYTES;
  let at = from;
  while (at < until && isDigit(bytes[at] ?? 0)) at += 1;
  if (at === from || at === until) throw unexpected(from);
  return at;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

/** The error for a byte that cannot stand at this index. */
export function unexpected(at: number): SyntaxError {
  return new SyntaxError(`unexpected byte at ${at}`);
}
