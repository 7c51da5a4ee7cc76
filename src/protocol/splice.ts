import { JsonBody } from "./json-body.ts";
import { JsonScanner } from "./json-scanner.ts";

/** The new text of a member, given its present one; undefined leaves it as it is. */
export type Change = (raw: Uint8Array | undefined) => Uint8Array | string | undefined;

/**
 * A JSON object with one member changed, however deep, and everything else byte for byte: numbers, order and unknown
 * members survive. The members on the way must be there and be objects; otherwise nothing changes.
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

/** The member at the path, as it stands; undefined where there is none. */
export function memberAt(json: Uint8Array, path: readonly string[]): Uint8Array | undefined {
  let at: Uint8Array | undefined = json;
  for (const name of path) at = at && readObject(at)?.raw(name);
  return at;
}

/** Two JSON lists as one; where one is missing or none, the other. */
export function joinLists(first: Uint8Array | undefined, second: Uint8Array | undefined): Uint8Array | undefined {
  const head = entriesOf(first);
  const tail = entriesOf(second);
  if (head === undefined || tail === undefined) return head === undefined ? second : first;
  const comma = head.trim() === "" || tail.trim() === "" ? "" : ",";
  return Buffer.from(`[${head}${comma}${tail}]`);
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
