import { GatewayError } from "../../errors/errors.ts";
import { isJsonObject, type JsonObject } from "./json.ts";
import type { JsonBody } from "./json-body.ts";
import { bodyWithNumbers } from "./written-numbers.ts";

/** Bounds of a number. */
interface Bounds {
  /** Smallest allowed number. */
  readonly least?: number;
  /** The number must be larger than this. */
  readonly above?: number;
  /** Largest allowed number. */
  readonly most?: number;
}

/** How many list entries of a request, and characters of JSON text in its strings, may still be read. */
interface Left {
  entries: number;
  jsonText: number;
}

/** Most list entries of a request. Conversations that fit into a model have fewer. */
const MAX_ENTRIES = 8192;
/** Most characters of JSON text in strings, which is parsed at once. Arguments of calls in conversations that fit into a model have fewer. */
const MAX_JSON_TEXT = 4 * 1024 * 1024;

/**
 * An object of a request, with its path in the body. Each reading method checks the member's type and returns the value. A
 * member that is absent or null gives undefined; one of the wrong type or value throws invalid_request with its path as param.
 */
export class JsonFields {
  readonly json: JsonObject;
  /** Path of the object, for example `messages[0]`; empty for the body itself. */
  readonly path: string;
  readonly #left: Left;

  constructor(json: JsonObject, path: string, left: Left = { entries: MAX_ENTRIES, jsonText: MAX_JSON_TEXT }) {
    this.json = json;
    this.path = path;
    this.#left = left;
  }

  /** The fields of a whole body. Numbers keep the client's spelling, for chat templates that print them. */
  static of(body: JsonBody): JsonFields {
    const value = body.whole ?? bodyWithNumbers(body);
    return new JsonFields(isJsonObject(value) ? value : {}, "");
  }

  /**
   * Counts `entries` of a list against the request's bound, because reading each entry holds the event loop for some microseconds.
   * Throws invalid_request if the request has more than MAX_ENTRIES in all its lists.
   */
  count(name: string, entries: number): void {
    this.#left.entries -= entries;
    if (this.#left.entries >= 0) return;
    throw this.error(name, `has too many entries: a request may have ${MAX_ENTRIES} messages, parts and tools in all`);
  }

  /** Counts JSON text in a string against the request's bound, before it is parsed. Throws invalid_request if the request has more in all. */
  countJsonText(name: string, chars: number): void {
    this.#left.jsonText -= chars;
    if (this.#left.jsonText < 0) {
      throw this.error(name, `is too long: a request may have ${MAX_JSON_TEXT} characters of arguments in all`);
    }
  }

  value(name: string): unknown {
    return this.json[name] ?? undefined;
  }

  has(name: string): boolean {
    return this.value(name) !== undefined;
  }

  /** Path of a member. */
  at(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`;
  }

  /** The error for a wrong member; `what` follows the path in its message: "must be a string". */
  error(name: string, what: string): GatewayError {
    return new GatewayError("invalid_request", `${this.at(name)} ${what}`, { param: this.at(name) });
  }

  /** The error for a member that asks for a feature the gateway does not have. */
  notBuilt(name: string, why: string): GatewayError {
    return new GatewayError("not_implemented", why, { param: this.at(name) });
  }

  string(name: string): string | undefined {
    const value = this.value(name);
    if (value === undefined || typeof value === "string") return value;
    throw this.error(name, "must be a string");
  }

  /** A required string that must not be empty. */
  requiredString(name: string): string {
    const value = this.string(name);
    if (value === undefined || value === "") throw this.error(name, "must be a non-empty string");
    return value;
  }

  boolean(name: string): boolean | undefined {
    const value = this.value(name);
    if (value === undefined || typeof value === "boolean") return value;
    throw this.error(name, "must be true or false");
  }

  number(name: string, bounds: Bounds): number | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    if (typeof value !== "number" || !isWithin(value, bounds))
      throw this.error(name, `must be ${phrase("a number", bounds)}`);
    return value;
  }

  integer(name: string, bounds: Bounds): number | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    if (!isInteger(value) || !isWithin(value, bounds))
      throw this.error(name, `must be ${phrase("an integer", bounds)}`);
    return value;
  }

  oneOf<const T extends string>(name: string, values: readonly T[]): T | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    const known = values.find((candidate) => candidate === value);
    if (known === undefined) throw this.error(name, `must be one of ${values.join(", ")}`);
    return known;
  }

  list(name: string): readonly unknown[] | undefined {
    const value = this.value(name);
    if (value === undefined || Array.isArray(value)) return value;
    throw this.error(name, "must be a list");
  }

  strings(name: string): readonly string[] | undefined {
    return this.list(name)?.map((entry, index) => {
      if (typeof entry === "string") return entry;
      throw this.error(`${name}[${index}]`, "must be a string");
    });
  }

  /** Token ids: integers from 0, of 31 bits. */
  ids(name: string): readonly number[] | undefined {
    const list = this.list(name);
    if (list === undefined || isIds(list)) return list;
    throw this.error(name, "must be a list of token ids");
  }

  object(name: string): JsonFields | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    if (!isJsonObject(value)) throw this.error(name, "must be an object");
    return this.child(value, name);
  }

  objects(name: string): readonly JsonFields[] | undefined {
    const list = this.list(name);
    if (list) this.count(name, list.length);
    return list?.map((entry, index) => {
      if (isJsonObject(entry)) return this.child(entry, `${name}[${index}]`);
      throw this.error(`${name}[${index}]`, "must be an object");
    });
  }

  /** The fields of the object in member `name`. */
  child(json: JsonObject, name: string): JsonFields {
    return new JsonFields(json, this.at(name), this.#left);
  }
}

/** Largest number in the gRPC messages of engines. */
export const MAX_INT32 = 0x7fff_ffff;

export function isIds(list: readonly unknown[]): list is readonly number[] {
  return list.every((entry) => isInteger(entry) && entry >= 0 && entry <= MAX_INT32);
}

function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function isWithin(value: number, { least = -Infinity, above = -Infinity, most = Infinity }: Bounds): boolean {
  return Number.isFinite(value) && value >= least && value > above && value <= most;
}

/** Describes a bound: "an integer from 1 to 20". */
function phrase(kind: string, { least, above, most }: Bounds): string {
  if (least !== undefined) return `${kind} from ${least} ${most === undefined ? "on" : `to ${most}`}`;
  if (above === undefined) return most === undefined ? kind : `${kind} of at most ${most}`;
  return `${kind} above ${above}${most === undefined ? "" : `, at most ${most}`}`;
}
