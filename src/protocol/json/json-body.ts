import { isUtf8 } from "node:buffer";
import { GatewayError } from "../../errors/errors.ts";
import { JsonScanner, type Span } from "./json-scanner.ts";
import { BACKSLASH, CLOSE_BRACE, CLOSE_BRACKET, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from "../../util/ascii.ts";

/** Bodies up to this size are read at once, larger ones in steps of it, between which other requests go on: about 1 ms. */
const STEP_BYTES = 512 * 1024;
/** Longest value that is worth turning into a JavaScript value for what routing asks. */
const MAX_VALUE_BYTES = 64 * 1024;

/**
 * A request body that stays bytes: read once from end to end for its form, and asked for single members. What a worker
 * gets is these bytes, so unknown members, numbers and the order survive.
 */
export class JsonBody {
  readonly bytes: Uint8Array;
  /** The value of all of it, while a reader that needs all has it; undefined where nobody has parsed it ahead. */
  whole: unknown;
  readonly #members: ReadonlyMap<string, Span>;

  constructor(bytes: Uint8Array, members: ReadonlyMap<string, Span>) {
    this.bytes = bytes;
    this.#members = members;
  }

  /** The member as it stands in the body; undefined where there is none. */
  raw(name: string): Uint8Array | undefined {
    const span = this.#members.get(name);
    return span && this.bytes.subarray(span.start, span.end);
  }

  /** Of the members, in their order. */
  names(): IterableIterator<string> {
    return this.#members.keys();
  }

  /** The member's value; undefined where there is none, or one so long that only a worker needs it. */
  value(name: string, maxBytes = MAX_VALUE_BYTES): unknown {
    const raw = this.raw(name);
    return raw && raw.length <= maxBytes ? parse(raw) : undefined;
  }

  /** Entries of a list; 0 where the member is no list. */
  count(name: string): number {
    const raw = this.raw(name);
    if (raw?.[0] !== OPEN_BRACKET) return 0;
    const value = this.value(name);
    if (Array.isArray(value)) return value.length;
    return countTopLevel(raw);
  }

  /** The body with these members replaced or added, each as JSON text; everything else as it stands. */
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
 * Reads the form of a body; at once where it is small. Throws invalid_json (not JSON, not UTF-8, too deep, a member
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

/** Lets whatever is ready go first. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function parse(raw: Uint8Array): unknown {
  return JSON.parse(Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString("utf8"));
}

/** Commas of the outermost list, plus one. */
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
