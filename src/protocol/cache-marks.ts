import { CLOSE_BRACE, COLON, COMMA, OPEN_BRACE, SPACE } from "../util/ascii.ts";

/** The key as it stands in JSON. Within a string its quotes would be escaped. */
const KEY = Buffer.from('"cache_control"');
const NULL = Buffer.from("null");
/** Longest mark. */
const MAX_BYTES = 256;

/** Where a member `cache_control` first stands in the bytes; -1 where it does not. */
export function firstCacheMark(bytes: Buffer): number {
  return bytes.indexOf(KEY);
}

/**
 * Where the members `cache_control` stand in the part of `bytes` from `from` to `to`, each with one comma beside it. A client moves them
 * to the newest message with each request, so with them no prompt would begin like the one before. undefined where there is none.
 */
export function cacheMarksIn(
  bytes: Buffer,
  from: number,
  to: number,
): readonly { readonly start: number; readonly end: number }[] | undefined {
  let marks: { start: number; end: number }[] | undefined;
  for (let at = bytes.indexOf(KEY, from); at >= 0 && at < to; at = bytes.indexOf(KEY, at + KEY.length)) {
    const end = valueEnd(bytes, at + KEY.length);
    if (end !== undefined) (marks ??= []).push(withComma(bytes, at, end));
  }
  return marks;
}

/** End of the value of a key that ends at `from`; undefined where it is neither an object without objects nor null. */
function valueEnd(bytes: Buffer, from: number): number | undefined {
  const start = past(bytes, past(bytes, from, COLON), SPACE);
  if (bytes[start] === OPEN_BRACE) {
    const close = bytes.subarray(start, start + MAX_BYTES).indexOf(CLOSE_BRACE);
    return close < 0 ? undefined : start + close + 1;
  }
  return bytes.subarray(start, start + NULL.length).equals(NULL) ? start + NULL.length : undefined;
}

function past(bytes: Buffer, from: number, what: number): number {
  let at = from;
  while (bytes[at] === SPACE || bytes[at] === what) at += 1;
  return at;
}

function withComma(bytes: Buffer, start: number, end: number): { start: number; end: number } {
  let before = start - 1;
  while (bytes[before] === SPACE) before -= 1;
  if (bytes[before] === COMMA) return { start: before, end };
  return { start, end: past(bytes, end, COMMA) };
}
