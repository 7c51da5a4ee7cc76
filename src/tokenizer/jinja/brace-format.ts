import type { Meter } from "./meter.ts";
import { fixed, floatDigits, general, grouped, integerDigits } from "./number-format.ts";
import { floatText, represent, textOf } from "./text.ts";
import {
  type CallArguments,
  Float,
  isNumber,
  lengthOf,
  TemplateError,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

const SPECIFICATION = /^(?:(.)?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/su;
const MAX_WIDTH = 10_000;

/** How a field such as `{user.name[0]}` reads members of a value. `members.ts` has the only implementation. */
export interface MemberAccess {
  attributeOf(value: Value, name: string, meter: Meter): Value;
  itemOf(value: Value, key: Value, meter: Meter): Value;
}

/** Python's `text.format(...)`. Throws TemplateError, with Python's message, for fields and arguments that Python refuses. */
export function formatBraces(text: string, args: CallArguments, members: MemberAccess, meter: Meter): string {
  return new BraceFormat(args, members, meter).write(text, 0);
}

class BraceFormat {
  readonly #args: CallArguments;
  readonly #members: MemberAccess;
  readonly #meter: Meter;
  #next = 0;

  constructor(args: CallArguments, members: MemberAccess, meter: Meter) {
    this.#args = args;
    this.#members = members;
    this.#meter = meter;
  }

  write(text: string, depth: number): string {
    if (depth > 2) throw new TemplateError("Max string recursion exceeded");
    let written = "";
    for (let at = 0; at < text.length;) {
      const char = text.charAt(at);
      if (char === "{" || char === "}") {
        if (text.charAt(at + 1) === char) {
          written += char;
          at += 2;
          continue;
        }
        if (char === "}") throw new TemplateError("Single '}' encountered in format string");
        const end = closingBrace(text, at);
        written += this.#field(text.slice(at + 1, end), depth);
        at = end + 1;
      } else {
        const next = text.slice(at).search(/[{}]/);
        const end = next < 0 ? text.length : at + next;
        written += text.slice(at, end);
        at = end;
      }
      this.#meter.spend(1);
      this.#meter.makeText(written.length);
    }
    return written;
  }

  /** `name!r:specification`. */
  #field(field: string, depth: number): string {
    const [, name = "", conversion, specification = ""] =
      /^([^!:[\]]*(?:\[[^\]]*\][^!:[]*)*)(?:!(.))?(?::(.*))?$/s.exec(field) ?? [];
    const value = this.#value(name);
    const wanted = this.write(specification, depth + 1);
    if (conversion === "r" || conversion === "a")
      return formatValue(represent(value, this.#meter), wanted, this.#meter);
    return formatValue(conversion === "s" ? textOf(value, this.#meter) : value, wanted, this.#meter);
  }

  #value(path: string): Value {
    const [, first = "", rest = ""] = /^([^.[]*)(.*)$/s.exec(path) ?? [];
    const { positional, named } = this.#args;
    const index = first === "" ? this.#next++ : Number(first);
    const found = Number.isInteger(index) ? positional[index] : named.get(first);
    if (found === undefined) {
      const what = Number.isInteger(index)
        ? `Replacement index ${index} out of range for positional args tuple`
        : `'${first}'`;
      throw new TemplateError(what);
    }
    let value = found;
    for (const [, attribute, key = ""] of rest.matchAll(/\.([^.[]+)|\[([^\]]*)\]/g)) {
      value =
        attribute === undefined
          ? this.#members.itemOf(value, /^\d+$/.test(key) ? Number(key) : key, this.#meter)
          : this.#members.attributeOf(value, attribute, this.#meter);
    }
    return value;
  }
}

function closingBrace(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    if (text.charAt(at) === "{") depth += 1;
    if (text.charAt(at) === "}") depth -= 1;
    if (depth === 0) return at;
  }
  throw new TemplateError("Single '{' encountered in format string");
}

/** Python's `format(value, specification)`. */
function formatValue(value: Value, specification: string, meter: Meter): string {
  if (specification === "") return textOf(value, meter);
  const parts = SPECIFICATION.exec(specification);
  if (!parts) throw new TemplateError("Invalid format specifier");
  const [, fill, align, sign = "", prefix, zero, widthText, separator, precisionText, letter] = parts;
  const [width, precision] = [Number(widthText ?? 0), precisionText === undefined ? undefined : Number(precisionText)];
  if (width > MAX_WIDTH || (precision ?? 0) > MAX_WIDTH) throw new TemplateError("Too many digits in format string");
  if (value instanceof Undefined) throw value.error;
  if (typeof value === "string" || !isNumber(value) || (typeof value === "boolean" && letter === undefined)) {
    if (typeof value !== "string" && typeof value !== "boolean") {
      throw new TemplateError(`unsupported format string passed to ${typeName(value)}.__format__`);
    }
    if (letter !== undefined && letter !== "s") throw new TemplateError(`Unknown format code '${letter}'`);
    const text = textOf(value, meter);
    return aligned("", precision === undefined ? text : text.slice(0, precision), fill ?? " ", align ?? "<", width);
  }
  const digits = digitsOf(value, letter, precision, prefix !== undefined);
  const number = value instanceof Float ? value.value : Number(value);
  const shown = separator === undefined ? digits : grouped(digits, separator);
  const before = number < 0 || Object.is(number, -0) ? "-" : sign === "-" ? "" : sign;
  return aligned(before, shown, fill ?? (zero ? "0" : " "), align ?? (zero ? "=" : ">"), width);
}

function digitsOf(
  value: number | bigint | boolean | Float,
  letter: string | undefined,
  precision: number | undefined,
  hasPrefix: boolean,
): string {
  const number = value instanceof Float ? value.value : Number(value);
  if (letter === undefined && value instanceof Float) {
    const size = Math.abs(number);
    return precision === undefined ? floatText(size) : general(size, precision);
  }
  const known = letter ?? "d";
  const digits =
    value instanceof Float
      ? undefined
      : integerDigits(typeof value === "boolean" ? Number(value) : value, known, hasPrefix);
  const text = digits ?? (known === "n" ? fixed(Math.abs(number), 0) : floatDigits(number, known, precision ?? 6));
  if (text === undefined)
    throw new TemplateError(`Unknown format code '${known}' for object of type '${typeName(value)}'`);
  return text;
}

function aligned(sign: string, text: string, fill: string, align: string, width: number): string {
  const missing = Math.max(0, width - sign.length - (lengthOf(text) ?? 0));
  if (align === "<") return sign + text + fill.repeat(missing);
  if (align === ">") return fill.repeat(missing) + sign + text;
  if (align === "=") return sign + fill.repeat(missing) + text;
  const left = Math.floor(missing / 2);
  return fill.repeat(left) + sign + text + fill.repeat(missing - left);
}
