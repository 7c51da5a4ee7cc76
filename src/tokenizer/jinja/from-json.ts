import { parseWithNumbers, writtenNumbers } from "../../protocol/json/written-numbers.ts";
import { type AnyRecord, isRecord } from "../../util/objects.ts";
import { TemplateLimit } from "./meter.ts";
import { Callable, type Dict, Float, integer, type Key, type Value } from "./values.ts";

/** Most levels of nested lists and objects; bodies have fewer. */
const MAX_DEPTH = 400;

/** Turns a JSON value into a template's value. Numbers keep their spelling, and members their order. */
export function fromJson(value: unknown): Value {
  return convert(value, 0);
}

/** Turns an object of JSON values into a dict. */
export function dictOf(object: AnyRecord): Dict {
  return convertObject(object, 0);
}

/** Prefix for keys of digits. JavaScript would otherwise put such keys before all others. */
const ORDER_MARK = "\ue000";
const DIGIT_KEY = /"(\d+)"(?=\s*:)/g;

/** Parses a JSON object as a dict; undefined where the text is not a JSON object. */
export function dictFromText(text: string): Value | undefined {
  try {
    const parsed = parseWithNumbers(text.replaceAll(DIGIT_KEY, `"${ORDER_MARK}$1"`));
    return isRecord(parsed) ? convert(parsed, 0) : undefined;
  } catch (thrown) {
    if (thrown instanceof SyntaxError || thrown instanceof RangeError) return undefined;
    throw thrown;
  }
}

function convert(value: unknown, depth: number): Value {
  if (typeof value === "string" || typeof value === "boolean" || typeof value === "bigint") return value;
  if (typeof value === "number") return convertNumber(value);
  if (value === null || typeof value !== "object") return null;
  if (depth > MAX_DEPTH) throw new TemplateLimit("lists within lists without end");
  if (Array.isArray(value)) return convertList(value, depth);
  if (value instanceof Callable || value instanceof Float || value instanceof Map) return known(value);
  return isRecord(value) ? convertObject(value, depth) : null;
}

/** A number whose spelling was not noted is written as JavaScript writes it: without an exponent it is an integer of any size. */
function convertNumber(value: number): Value {
  if (Number.isSafeInteger(value)) return value;
  const text = String(value);
  return /^-?\d+$/.test(text) ? integer(BigInt(text)) : new Float(value);
}

/** Passes on a value that is already a template's. */
function known(value: Callable | Float | ReadonlyMap<Key, Value>): Value {
  return value;
}

function convertList(list: readonly unknown[], depth: number): Value[] {
  const written = writtenNumbers(list);
  if (!written) return list.map((member) => convert(member, depth + 1));
  return list.map((member, index) => convertMember(member, written[index], depth));
}

function convertObject(object: AnyRecord, depth: number): Dict {
  const written = writtenNumbers(object);
  const dict = new Map<Key, Value>();
  for (const key of Object.keys(object)) {
    const member = object[key];
    if (member === undefined) continue;
    const name = key.startsWith(ORDER_MARK) ? key.slice(1) : key;
    dict.set(name, convertMember(member, written?.[key], depth));
  }
  return dict;
}

function convertMember(member: unknown, written: string | undefined, depth: number): Value {
  // Code has since replaced the value, so the new value counts.
  if (written === undefined || member !== Number(written)) return convert(member, depth + 1);
  return /[.eE]/.test(written) ? new Float(member) : integer(BigInt(written));
}
