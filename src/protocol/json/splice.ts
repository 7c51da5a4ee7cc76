import { JsonBody } from "./json-body.ts";
import { JsonScanner } from "./json-scanner.ts";
import type { Span } from "./members.ts";
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COMMA,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  SPACE,
} from "../../util/ascii.ts";

/** Gives the new JSON text of a member for its present text, undefined where there is no such member. The result undefined leaves it as it is. */
type Change = (raw: Uint8Array | undefined) => Uint8Array | string | undefined;

/**
 * A copy of a JSON object with the member at the path changed; all other bytes stay as they are. Every member on the path but
 * the last must be there and be an object; otherwise the result is `json` itself.
 */
export function splice(json: Uint8Array, [name, ...rest]: readonly string[], change: Change): Uint8Array {
  const object = name === undefined ? undefined : readObject(json);
  if (!object || name === undefined) return json;
  const raw = object.raw(name);
  let next: Uint8Array | string | undefined;
  if (rest.length === 0) next = change(raw);
  else if (raw) next = splice(raw, rest, change);
  return next === undefined || next === raw ? json : object.with(new Map([[name, next]]));
}

/** The bytes of the member at the path; undefined where there is no such member. */
export function memberAt(json: Uint8Array, path: readonly string[]): Uint8Array | undefined {
  let at: Uint8Array | undefined = json;
  for (const name of path) at = at && readObject(at)?.raw(name);
  return at;
}

/** The entries of two JSON lists as one list; where one of them is undefined or no list, the other. */
export function joinLists(first: Uint8Array | undefined, second: Uint8Array | undefined): Uint8Array | undefined {
  const head = entriesOf(first);
  const tail = entriesOf(second);
  if (head === undefined || tail === undefined) return head === undefined ? second : first;
  const comma = head.trim() === "" || tail.trim() === "" ? "" : ",";
  return Buffer.from(`[${head}${comma}${tail}]`);
}

/** A copy of a JSON list with each entry changed; the bytes between the entries stay as they are. */
export function eachEntry(list: Uint8Array, change: (entry: Uint8Array, index: number) => Uint8Array): Uint8Array {
  const pieces: Uint8Array[] = [];
  let from = 0;
  let index = 0;
  for (const { start, end } of entrySpans(list)) {
    pieces.push(list.subarray(from, start), change(list.subarray(start, end), index));
    from = end;
    index += 1;
  }
  pieces.push(list.subarray(from));
  return Buffer.concat(pieces);
}

/** Where the entries of a list stand. The bytes must be JSON whose form has been checked. */
function* entrySpans(list: Uint8Array): Generator<Span, void, void> {
  let depth = 0;
  let start = -1;
  let end = 0;
  for (let at = 0; at < list.length; at += 1) {
    const byte = list[at] ?? 0;
    const isClose = byte === CLOSE_BRACKET || byte === CLOSE_BRACE;
    if (isClose) depth -= 1;
    if (start >= 0 && ((byte === COMMA && depth === 1) || (isClose && depth === 0))) {
      yield { start, end };
      start = -1;
    } else if (depth > 0 && byte > SPACE && !(byte === COMMA && depth === 1)) {
      if (start < 0) start = at;
      if (byte === QUOTE) at = endOfString(list, at);
      end = at + 1;
    }
    if (byte === OPEN_BRACKET || byte === OPEN_BRACE) depth += 1;
  }
}

/** Index of the quote that ends the string beginning at `from`. */
function endOfString(json: Uint8Array, from: number): number {
  let at = from + 1;
  while (at < json.length && json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1;
  return at;
}

function entriesOf(list: Uint8Array | undefined): string | undefined {
  const text = list && Buffer.from(list.buffer, list.byteOffset, list.byteLength).toString("utf8").trim();
  return text?.startsWith("[") === true ? text.slice(1, -1) : undefined;
}

function readObject(json: Uint8Array): JsonBody | undefined {
  const scanner = new JsonScanner(json);
  try {
    while (!scanner.run(Number.MAX_SAFE_INTEGER));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  return scanner.isObject ? new JsonBody(json, scanner.members) : undefined;
}
