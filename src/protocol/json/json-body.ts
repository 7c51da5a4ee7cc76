import { isUtf8 } from "node:buffer";
import { GatewayError } from "../../errors/errors.ts";
import { nextTurn } from "../../util/next-turn.ts";
import { asBuffer, JsonScanner } from "./json-scanner.ts";
import { readValue } from "./json-value.ts";
import { type Member, Members, type Span } from "./members.ts";
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

/** A body up to this size is scanned at once, about 1 ms; a larger one in steps of this size, and other requests run between them. */
const STEP_BYTES = 512 * 1024;
/** Longest member that `value` parses unless its caller says otherwise. Longer ones are prompts, which only workers read. */
const MAX_VALUE_BYTES = 64 * 1024;

/**
 * A request body as bytes, scanned once for its form and the places of its members. A member is parsed when some code asks for
 * it. A worker gets these bytes, so unknown members, the spelling of numbers and the order stay as the client sent them.
 */
export class JsonBody {
  readonly bytes: Buffer;
  /** The parsed body, set while a reader needs every member; undefined where the whole body has not been parsed. */
  whole: unknown;
  readonly #members: Members;

  constructor(bytes: Uint8Array, members: Members) {
    this.bytes = asBuffer(bytes);
    this.#members = members;
  }

  /** The bytes of the member's value; undefined where the body has no such member. */
  raw(name: string): Uint8Array | undefined {
    const span = this.#members.get(name);
    return span && this.bytes.subarray(span.start, span.end);
  }

  /** Where the member's value stands in `bytes`; undefined where the body has no such member. */
  span(name: string): Span | undefined {
    return this.#members.get(name);
  }

  /** The members in the order of the body. */
  get members(): readonly Member[] {
    return this.#members.list;
  }

  /** The member's value; undefined where there is no such member, or where its value is longer than `maxBytes`. */
  value(name: string, maxBytes = MAX_VALUE_BYTES): unknown {
    const member = this.#members.get(name);
    return member && this.valueOf(member, maxBytes);
  }

  /** The value of one of `members`; undefined where it is longer than `maxBytes`. */
  valueOf({ start, end }: Member, maxBytes = MAX_VALUE_BYTES): unknown {
    return end - start <= maxBytes ? readValue(this.bytes, start, end) : undefined;
  }

  /** Number of entries of a list; 0 where the member is not a list. */
  count(name: string): number {
    const member = this.#members.get(name);
    return member ? countEntries(this.bytes, member) : 0;
  }

  /** Whether one of `members` is a list of more than `most` entries. A list with too few bytes for so many is not scanned. */
  hasMoreEntries(member: Member, most: number): boolean {
    const bytes = member.end - member.start;
    return bytes >= 2 * most && countEntries(this.bytes, member) > most;
  }

  /** A body with another value of one member, as JSON text. It is not scanned again. A body without the member stays as it is. */
  withValue(name: string, value: string): JsonBody {
    const replaced = this.#members.get(name);
    if (!replaced) return this;
    const put = Buffer.from(value);
    const { start, end } = replaced;
    const bytes = Buffer.concat([this.bytes.subarray(0, start), put, this.bytes.subarray(end)]);
    const shift = put.length - (end - start);
    const members = new Members();
    for (const member of this.#members.list) {
      if (member === replaced) members.add({ name, start, end: end + shift, commas: Number.NaN });
      else if (member.start < start) members.add(member);
      else members.add({ ...member, start: member.start + shift, end: member.end + shift });
    }
    return new JsonBody(bytes, members);
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
      if (this.#members.get(name)) continue;
      pieces.push(toBytes(`${hasMembers ? "," : ""}${JSON.stringify(name)}:`), toBytes(change));
      hasMembers = true;
    }
    pieces.push(this.bytes.subarray(close));
    return Buffer.concat(pieces);
  }
}

/**
 * Scans a body: at once where it is small, else in steps, and then the result is a promise. Throws, or rejects with,
 * invalid_json (not JSON, not UTF-8, too deep, a member twice), invalid_body (not an object) or forbidden_key.
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
  // A worker's JSON reader may act on this key, which the gateway only passes on.
  if (hasProtoKey) throw new GatewayError("forbidden_key", "the key __proto__ is not allowed");
  return new JsonBody(bytes, members);
}

/** Number of entries of a list; 0 where it is empty or not a list. */
function countEntries(bytes: Uint8Array, { start, end, commas }: Member): number {
  if (bytes[start] !== OPEN_BRACKET || isEmptyList(bytes, start, end)) return 0;
  return 1 + (Number.isNaN(commas) ? countCommas(bytes, start, end) : commas);
}

function isEmptyList(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start + 1;
  while (at < end && (bytes[at] ?? 0) <= SPACE) at += 1;
  return bytes[at] === CLOSE_BRACKET;
}

/** Number of commas on a list's own level. */
function countCommas(bytes: Uint8Array, start: number, end: number): number {
  let depth = 0;
  let commas = 0;
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte === OPEN_BRACKET || byte === OPEN_BRACE) depth += 1;
    else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) depth -= 1;
    else if (byte === COMMA && depth === 1) commas += 1;
    else if (byte === QUOTE) at = closingQuote(bytes, at);
  }
  return commas;
}

/** Index of the quote that ends the string beginning at `opening`. */
function closingQuote(bytes: Uint8Array, opening: number): number {
  let at = opening + 1;
  while (bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at;
}

function toBytes(change: Uint8Array | string): Uint8Array {
  return typeof change === "string" ? Buffer.from(change) : change;
}
