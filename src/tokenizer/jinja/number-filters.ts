import type { Arguments } from "./arguments.ts";
import { filter, type Filter } from "./filter.ts";
import { fixed } from "./number-format.ts";
import {
  Float,
  integer,
  isInteger,
  isNumber,
  isTrue,
  lengthOf,
  TemplateError,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

export const NUMBER_FILTERS: readonly (readonly [string, Filter])[] = [
  filter("int", ["default", "base"], (value, args) => toInteger(value, args)),
  filter("float", ["default"], (value, args) => toFloat(value) ?? args.or("default", new Float(0))),
  filter("abs", [], (value) => {
    if (value instanceof Float) return new Float(Math.abs(value.value));
    if (!isInteger(value)) throw wrong(value, `bad operand type for abs(): '${typeName(value)}'`);
    const whole = BigInt(value);
    return integer(whole < 0n ? -whole : whole);
  }),
  filter("round", ["precision", "method"], (value, args) => rounded(value, args)),
  filter("length", [], countOf),
  filter("count", [], countOf),
  ...["default", "d"].map((name) =>
    filter(name, ["default_value", "boolean"], (value, args) =>
      value instanceof Undefined || (args.flag("boolean") && !isTrue(value)) ? args.or("default_value", "") : value,
    ),
  ),
];

function wrong(value: Value, message: string): TemplateError {
  return value instanceof Undefined ? value.error : new TemplateError(message);
}

function countOf(value: Value): number {
  const length = lengthOf(value);
  if (length === undefined) throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
  return length;
}

function toInteger(value: Value, args: Arguments): Value {
  if (isInteger(value)) return integer(BigInt(value));
  if (value instanceof Undefined) throw value.error;
  const whole = typeof value === "string" ? wholeOf(value, args.whole("base", 10)) : undefined;
  if (whole !== undefined) return whole;
  const float = toFloat(value);
  return float && Number.isFinite(float.value) ? integer(BigInt(Math.trunc(float.value))) : args.or("default", 0);
}

const DIGITS: Readonly<Record<number, RegExp>> = {
  2: /^([-+]?)(?:0b)?([01](?:_?[01])*)$/i,
  8: /^([-+]?)(?:0o)?([0-7](?:_?[0-7])*)$/i,
  10: /^([-+]?)(\d(?:_?\d)*)$/,
  16: /^([-+]?)(?:0x)?([\da-f](?:_?[\da-f])*)$/i,
};
const PREFIXES: Readonly<Record<number, string>> = { 2: "0b", 8: "0o", 10: "", 16: "0x" };
/** Most digits of a number that is read. */
const MAX_DIGITS = 4300;

/** Python's `int(text)`; undefined where the text is not a whole number. */
function wholeOf(text: string, base: number): number | bigint | undefined {
  const parts = text.length > MAX_DIGITS ? null : DIGITS[base]?.exec(text.trim());
  if (!parts) return undefined;
  const [, sign, digits = ""] = parts;
  const whole = BigInt((PREFIXES[base] ?? "") + digits.replaceAll("_", ""));
  return integer(sign === "-" ? -whole : whole);
}

/** Python's `float(value)`; undefined where that fails. */
function toFloat(value: Value): Float | undefined {
  if (value instanceof Undefined) throw value.error;
  if (isNumber(value)) return value instanceof Float ? value : new Float(Number(value));
  if (typeof value !== "string") return undefined;
  const text = value.trim().toLowerCase();
  const special = /^([-+]?)(inf|infinity|nan)$/.exec(text);
  if (special) return new Float(special[2] === "nan" ? Number.NaN : special[1] === "-" ? -Infinity : Infinity);
  // Digits belong to one part of the pattern only: a second one would be tried for each of them.
  return /^[-+]?(?:\d(?:_?\d)*(?:\.(?:\d(?:_?\d)*)?)?|\.\d(?:_?\d)*)(?:e[-+]?\d+)?$/.test(text)
    ? new Float(Number(text.replaceAll("_", "")))
    : undefined;
}

function rounded(value: Value, args: Arguments): Value {
  const [precision, method] = [args.whole("precision", 0), args.text("method", "common")];
  if (!["common", "ceil", "floor"].includes(method)) throw new TemplateError("method must be common, ceil or floor");
  if (!isNumber(value)) throw wrong(value, `type ${typeName(value)} doesn't define __round__ method`);
  const number = value instanceof Float ? value.value : Number(value);
  if (method !== "common") {
    const scale = 10 ** precision;
    return new Float((method === "ceil" ? Math.ceil(number * scale) : Math.floor(number * scale)) / scale);
  }
  if (!(value instanceof Float)) {
    return precision >= 0 ? integer(BigInt(value)) : Number(fixed(number * 10 ** precision, 0)) * 10 ** -precision;
  }
  if (!Number.isFinite(number)) return value;
  return new Float(
    precision >= 0
      ? Number(fixed(number, Math.min(precision, 100)))
      : Number(fixed(number * 10 ** precision, 0)) * 10 ** -precision,
  );
}
