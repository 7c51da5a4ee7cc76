import type { Meter } from "./meter.ts";
import {
  Callable,
  type Dict,
  Float,
  Generated,
  type HostObject,
  isDict,
  isList,
  Namespace,
  Range,
  Tuple,
  Undefined,
  type Value,
  View,
} from "./values.ts";

/** Python's `str`: the text of a value in a template's output. */
export function textOf(value: Value, meter: Meter): string {
  if (typeof value === "string") return value;
  return value instanceof Undefined ? "" : represent(value, meter);
}

/** Python's `repr`. */
export function represent(value: Value, meter: Meter): string {
  meter.spend(1);
  if (value === null) return "None";
  if (typeof value === "string") return representString(value);
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return String(value);
  if (value instanceof Float) return floatText(value.value);
  if (isList(value)) return `[${representAll(value, meter)}]`;
  if (isDict(value)) return representDict(value, meter);
  if (value instanceof Tuple) return `(${representAll(value.items, meter)}${value.items.length === 1 ? "," : ""})`;
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Range) {
    const { start, stop, step } = value;
    return step === 1 ? `range(${start}, ${stop})` : `range(${start}, ${stop}, ${step})`;
  }
  if (value instanceof View) return `dict_${value.kind}([${representAll(value.items, meter)}])`;
  if (value instanceof Namespace) return `<Namespace ${representDict(value.members, meter)}>`;
  if (value instanceof Generated) return "<generator object>";
  return value instanceof Callable ? `<function ${value.name}>` : `<${(value satisfies HostObject).typeName}>`;
}

function representAll(values: readonly Value[], meter: Meter): string {
  meter.enter();
  let text = "";
  for (const value of values) {
    text += `${text === "" ? "" : ", "}${represent(value, meter)}`;
    meter.makeText(text.length);
  }
  meter.leave();
  return text;
}

function representDict(dict: Dict, meter: Meter): string {
  meter.enter();
  let text = "";
  for (const [key, value] of dict) {
    text += `${text === "" ? "" : ", "}${represent(key, meter)}: ${represent(value, meter)}`;
    meter.makeText(text.length);
  }
  meter.leave();
  return `{${text}}`;
}

/** Python's `repr` of a float: the fewest digits that identify the number, with an exponent below 1e-4 and from 1e16 on. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const [mantissa = "", exponentText = "0"] = value.toExponential().split("e");
  const exponent = Number(exponentText);
  if (value !== 0 && (exponent < -4 || exponent >= 16)) return `${mantissa}e${exponentOf(exponent)}`;
  const text = exponent < 0 ? value.toFixed(mantissa.replace(/[-.]/g, "").length - 1 - exponent) : String(value);
  return text.includes(".") ? text : `${text}.0`;
}

/** An exponent with its sign and two digits at least. */
export function exponentOf(exponent: number): string {
  return `${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };
/** Characters that Python's repr escapes. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

function representString(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = text.replace(/[\\\n\r\t]/g, (char) => ESCAPES[char] ?? char).replaceAll(quote, `\\${quote}`);
  return `${quote}${body.replace(UNPRINTABLE, escapeCharacter)}${quote}`;
}

function escapeCharacter(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  if (code <= 0xff) return `\\x${hex.padStart(2, "0")}`;
  return code <= 0xffff ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

const SPACE =
  "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";
const SPACE_SET: ReadonlySet<string> = new Set(SPACE);

/** Whether the character is white space in Python. */
export function isSpace(char: string): boolean {
  return SPACE_SET.has(char);
}

/** Python's `strip`: removes the given characters, or white space. */
export function strip(text: string, sides: "both" | "left" | "right", chars?: string): string {
  const set = chars === undefined ? SPACE_SET : new Set(chars);
  let [from, end] = [0, text.length];
  if (sides !== "right") while (from < end && set.has(text.charAt(from))) from += 1;
  if (sides !== "left") while (end > from && set.has(text.charAt(end - 1))) end -= 1;
  return text.slice(from, end);
}

/** Python's `splitlines`. */
export function linesOf(text: string, keepsEnds = false): string[] {
  const lines: string[] = [];
  let from = 0;
  // oxlint-disable-next-line no-control-regex -- Python ends lines at some of these.
  for (const { 0: end, index } of text.matchAll(/\r\n|[\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029]/g)) {
    lines.push(text.slice(from, keepsEnds ? index + end.length : index));
    from = index + end.length;
  }
  if (from < text.length) lines.push(text.slice(from));
  return lines;
}
