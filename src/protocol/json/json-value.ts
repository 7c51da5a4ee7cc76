import { BACKSLASH, QUOTE, SPACE } from "../../util/ascii.ts";

const ZERO = 0x30;
const NINE = 0x39;
const SMALL_F = 0x66;
const SMALL_N = 0x6e;
const SMALL_T = 0x74;
const DELETE = 0x7f;
/** Digits of an integer that a double holds exactly. */
const EXACT_DIGITS = 15;
/** Longest string that is read byte by byte; beyond it JSON.parse is faster. */
const SHORT_STRING = 128;

/** Reads the value in [`start`, `end`), which must be valid JSON. It reads the usual values of requests without JSON.parse. */
export function readValue(bytes: Buffer, start: number, end: number): unknown {
  switch (bytes[start]) {
    case SMALL_T:
      return true;
    case SMALL_F:
      return false;
    case SMALL_N:
      return null;
    case QUOTE:
      if (isShortAscii(bytes, start + 1, end - 1)) return bytes.toString("latin1", start + 1, end - 1);
      break;
    default: {
      const integer = shortInteger(bytes, start, end);
      if (integer >= 0) return integer;
    }
  }
  return JSON.parse(bytes.toString("utf8", start, end));
}

/** Whether the bytes are short printable ASCII without an escape. */
function isShortAscii(bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from > SHORT_STRING) return false;
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte < SPACE || byte === BACKSLASH || byte >= DELETE) return false;
  }
  return true;
}

/** Reads a short integer; -1 for any other value. */
function shortInteger(bytes: Uint8Array, from: number, to: number): number {
  if (to - from > EXACT_DIGITS) return -1;
  let integer = 0;
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte < ZERO || byte > NINE) return -1;
    integer = integer * 10 + (byte - ZERO);
  }
  return integer;
}
