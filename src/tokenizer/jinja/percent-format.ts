import type { Meter } from "./meter.ts";
import { floatDigits, integerDigits } from "./number-format.ts";
import { represent, textOf } from "./text.ts";
import { Float, isDict, isNumber, TemplateError, Tuple, typeName, Undefined, type Value } from "./values.ts";

/** A name in parentheses has 256 characters at most: otherwise each of many that never end would be read to the end of the text. */
const DIRECTIVE = /%(?:\(([^)]{0,256})\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d*))?[hlL]?([a-zA-Z%])/g;
const MAX_WIDTH = 10_000;

/** Python's `text % values`. Throws TemplateError with Python's message for values that do not fit. */
export function formatPercent(text: string, values: Value, meter: Meter): string {
  const source = new Source(values);
  let chars = text.length;
  const written = text.replace(
    DIRECTIVE,
    (_, name?: string, flags = "", width?: string, precision?: string, letter = "") => {
      if (letter === "%") return "%";
      const wide = sizeOf(width, source) ?? 0;
      const digits = precision === undefined ? undefined : (sizeOf(precision === "" ? "0" : precision, source) ?? 0);
      const value = name === undefined ? source.next() : source.named(name);
      const one = padded(convert(value, letter, flags, digits, meter), flags, wide, letter);
      chars += one.length;
      meter.makeText(chars);
      return one;
    },
  );
  if (!source.isUsedUp) throw new TemplateError("not all arguments converted during string formatting");
  return written;
}

/** Gives the values one after the other, or by name. */
class Source {
  readonly #values: Value;
  readonly #list: readonly Value[];
  #at = 0;
  #isNamed = false;

  constructor(values: Value) {
    this.#values = values;
    this.#list = values instanceof Tuple ? values.items : [values];
  }

  next(): Value {
    const value = this.#list[this.#at];
    if (value === undefined) throw new TemplateError("not enough arguments for format string");
    this.#at += 1;
    return value;
  }

  named(name: string): Value {
    if (!isDict(this.#values)) throw new TemplateError("format requires a mapping");
    this.#isNamed = true;
    const value = this.#values.get(name);
    if (value === undefined) throw new TemplateError(`'${name}'`);
    return value;
  }

  get isUsedUp(): boolean {
    const values = this.#values;
    // Python complains only about values without members.
    const canBeLookedInto =
      typeof values === "object" && values !== null && !(values instanceof Tuple || values instanceof Float);
    return this.#isNamed || canBeLookedInto || this.#at >= this.#list.length;
  }
}

function sizeOf(text: string | undefined, source: Source): number | undefined {
  if (text === undefined) return undefined;
  const size = text === "*" ? Number(source.next()) : Number(text);
  if (!(Math.abs(size) <= MAX_WIDTH)) throw new TemplateError("a width or precision is too large");
  return size;
}

function convert(value: Value, letter: string, flags: string, precision: number | undefined, meter: Meter): string {
  if (letter === "s" || letter === "r" || letter === "a") {
    const text = letter === "s" ? textOf(value, meter) : represent(value, meter);
    return precision === undefined ? text : text.slice(0, precision);
  }
  if (letter === "c" && typeof value === "string") return value;
  if (value instanceof Undefined) throw value.error;
  if (!isNumber(value)) throw new TemplateError(`%${letter} format: a real number is required, not ${typeName(value)}`);
  const number = value instanceof Float ? value.value : Number(value);
  if (letter === "c") return String.fromCodePoint(number);
  const whole = value instanceof Float ? BigInt(Math.trunc(number)) : BigInt(value);
  const digits =
    integerDigits(whole, letter, flags.includes("#"))?.padStart(precision ?? 0, "0") ??
    floatDigits(number, letter, precision ?? 6);
  if (digits === undefined) throw new TemplateError(`unsupported format character '${letter}'`);
  return signOf(number, flags) + digits;
}

function signOf(value: number, flags: string): string {
  if (value < 0 || Object.is(value, -0)) return "-";
  return flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
}

function padded(text: string, flags: string, width: number, letter: string): string {
  if (width < 0 || flags.includes("-")) return text.padEnd(Math.abs(width));
  if (!flags.includes("0") || "srac".includes(letter)) return text.padStart(width);
  const sign = /^[-+ ]?(?:0[xXo])?/.exec(text)?.[0] ?? "";
  return sign + text.slice(sign.length).padStart(width - sign.length, "0");
}
