import { isUtf8 } from "node:buffer";
import { GatewayError } from "../../errors/errors.ts";
import { nextTurn } from "../../util/next-turn.ts";
import { JsonScanner, type Span } from "./json-scanner.ts";
import { BACKSLASH, CLOSE_BRACE, CLOSE_BRACKET, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from "../../util/ascii.ts";

/** A body up to this size is scanned at once, about 1 ms; a larger one in steps of this size, and other requests run between them. */
const STEP_BYTES = 512 * 1024;
/** Longest member that `value` parses unless its caller says otherwise. Longer ones are prompts, which only workers read. */
const MAX_VALUE_BYTES = 64 * 1024;

/**
 * A request body as bytes, scanned once for its form and for where its members stand. Members are parsed when somebody asks
 * for them. A worker gets these bytes, so unknown members, the writing of numbers and the order stay as the client sent them.
 */
export class JsonBody {
  readonly bytes: Uint8Array;
  /** The parsed body, set for as long as a reader needs every member; undefined where nobody has parsed all of it. */
  whole: unknown;
  readonly #members: ReadonlyMap<string, Span>;

  constructor(bytes: Uint8Array, members: ReadonlyMap<string, Span>) {
    this.bytes = bytes;
    this.#members = members;
  }

  /** The bytes of the member's value; undefined where there is no such member. */
  raw(name: string): Uint8Array | undefined {
    const span = this.#members.get(name);
    return span && this.bytes.subarray(span.start, span.end);
  }

  /** Names of the members in the order of the body. */
  names(): IterableIterator<string> {
    return this.#members.keys();
  }

  /** The member's value; undefined where there is no such member, or where its value is longer than `maxBytes`. */
  value(name: string, maxBytes = MAX_VALUE_BYTES): unknown {
    const raw = this.raw(name);
    return raw && raw.length <= maxBytes ? parse(raw) : undefined;
  }

  /** Number of entries of a list; 0 where the member is no list. */
  count(name: string): number {
    const raw = this.raw(name);
    if (raw?.[0] !== OPEN_BRACKET) return 0;
    const value = this.value(name);
    if (Array.isArray(value)) return value.length;
    return countTopLevel(raw);
  }

  /** A copy of the body with these members replaced or added; `changes` has their values as JSON text. All other bytes stay. */
  with(changes: ReadonlyMap<string, Uint8Array | string>): Uint8Array {
    const pieces: Uint8Array[] = [];
    let from = 0;
    const inOrder = [...this.#members].sort(([, a], [, b]) => a.start - b.start);
    for (const [name, { start, end }] of inOrder) {
      const change = changes.get(name);
      if (change === undefined) continue;
      pieces.push(this.bytes.subarray(from, start), toBytes(change));
      from = end;
    }
    const close = this.bytes.lastIndexOf(CLOSE_BRACE);
    pieces.push(this.bytes.subarray(from, close));
    let hasMembers = this.#members.size > 0;
    for (const [name, change] of changes) {
      if (this.#members.has(name)) continue;
      pieces.push(toBytes(`${hasMembers ? "," : ""}${JSON.stringify(name)}:`), toBytes(change));
      hasMembers = true;
    }
    pieces.push(this.bytes.subarray(close));
    return Buffer.concat(pieces);
  }
}

/**
 * Scans a body: at once where it is small, else in steps and the result is a promise. Throws, or rejects with, invalid_json (not JSON, not UTF-8, too deep, a member
 * twice), invalid_body (not an object), forbidden_key.
 */
export function readJsonBody(bytes: Uint8Array): JsonBody | Promise<JsonBody> {
  if (!isUtf8(bytes)) throw new GatewayError("invalid_json", "the body is not valid UTF-8");
  const scanner = new JsonScanner(bytes);
  if (step(scanner)) return finish(bytes, scanner);
  return readInSteps(bytes, scanner);
}

async function readInSteps(bytes: Uint8Array, scanner: JsonScanner): Promise<JsonBody> {
  do await nextTurn();
  while (!step(scanner));
  return finish(bytes, scanner);
}

function step(scanner: JsonScanner): boolean {
  try {
    return scanner.run(STEP_BYTES);
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new GatewayError("invalid_json", `the body is not JSON that can be taken: ${cause.message}`, { cause });
  }
}

function finish(bytes: Uint8Array, { members, isObject, hasProtoKey }: JsonScanner): JsonBody {
  if (!isObject) throw new GatewayError("invalid_body", "the body must be a JSON object");
  // Readers of the body further on may act on this key where we only carry it.
  if (hasProtoKey) throw new GatewayError("forbidden_key", "the key __proto__ is not allowed");
  return new JsonBody(bytes, members);
}

function parse(raw: Uint8Array): unknown {
  return JSON.parse(Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString("utf8"));
}

/** Number of entries of a list that is not empty: the commas of its own level, and one. */
function countTopLevel(list: Uint8Array): number {
  let depth = 0;
  let isInString = false;
  let count = 1;
  for (let at = 0; at < list.length; at += 1) {
    const byte = list[at];
    if (isInString) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) isInString = false;
    } else if (byte === QUOTE) isInString = true;
    else if (byte === OPEN_BRACKET || byte === OPEN_BRACE) depth += 1;
    else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) depth -= 1;
    else if (byte === COMMA && depth === 1) count += 1;
  }
  return count;
}

function toBytes(change: Uint8Array | string): Uint8Array {
  return typeof change === "string" ? Buffer.from(change) : change;
}
