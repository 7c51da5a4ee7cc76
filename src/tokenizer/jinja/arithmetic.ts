import { formatPercent } from "./percent-format.ts";
import type { Meter } from "./meter.ts";
import { textOf } from "./text.ts";
import {
  Float,
  integer,
  isInteger,
  isList,
  isNumber,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

type Operator = "+" | "-" | "*" | "/" | "//" | "%" | "**";

/** Binary digits of the largest number that a power may give. */
const MAX_POWER_BITS = 4096;

/** Computes an operation like Python. Throws TemplateError with Python's message for operands of wrong types. */
export function operate(operator: Operator, left: Value, right: Value, meter: Meter): Value {
  if (operator === "%" && typeof left === "string") return formatPercent(left, right, meter);
  if (isNumber(left) && isNumber(right)) {
    return isInteger(left) && isInteger(right)
      ? onIntegers(operator, left, right)
      : new Float(onFloats(operator, numberOf(left), numberOf(right)));
  }
  const joined = operator === "+" ? concatenated(left, right, meter) : undefined;
  if (joined !== undefined) return joined;
  const repeated = operator === "*" ? (repeatedBy(left, right, meter) ?? repeatedBy(right, left, meter)) : undefined;
  if (repeated !== undefined) return repeated;
  for (const side of [left, right]) if (side instanceof Undefined) throw side.error;
  throw new TemplateError(refusal(operator, left, right));
}

function refusal(operator: Operator, left: Value, right: Value): string {
  if (operator === "+" && (typeof left === "string" || isList(left))) {
    return `can only concatenate ${typeName(left)} (not "${typeName(right)}") to ${typeName(left)}`;
  }
  return `unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`;
}

function concatenated(left: Value, right: Value, meter: Meter): Value | undefined {
  if (typeof left === "string" && typeof right === "string") {
    meter.makeText(left.length + right.length);
    return left + right;
  }
  if (isList(left) && isList(right)) {
    meter.members(left.length + right.length);
    return [...left, ...right];
  }
  if (!(left instanceof Tuple && right instanceof Tuple)) return undefined;
  meter.members(left.items.length + right.items.length);
  return new Tuple([...left.items, ...right.items]);
}

function repeatedBy(value: Value, times: Value, meter: Meter): Value | undefined {
  if (!isInteger(times)) return undefined;
  const count = Math.max(0, Number(times));
  if (typeof value === "string") {
    meter.makeText(value.length * count);
    return value.repeat(value === "" ? 0 : count);
  }
  const items = isList(value) ? value : value instanceof Tuple ? value.items : undefined;
  if (!items) return undefined;
  meter.members(items.length * count);
  const repeated = items.length === 0 ? [] : Array.from({ length: count }, () => items).flat();
  return isList(value) ? repeated : new Tuple(repeated);
}

/** `~`: joins the texts of all values. */
export function concatenate(values: readonly Value[], meter: Meter): string {
  let text = "";
  for (const value of values) text += textOf(value, meter);
  meter.makeText(text.length);
  return text;
}

/** The value as a JavaScript number. A large integer may lose digits. */
export function numberOf(value: number | bigint | boolean | Float): number {
  return value instanceof Float ? value.value : Number(value);
}

function onIntegers(
  operator: Operator,
  left: number | bigint | boolean,
  right: number | bigint | boolean,
): number | bigint | Float {
  if (operator === "/") return new Float(onFloats("/", Number(left), Number(right)));
  if (operator === "**") return powerOf(left, right);
  if (Number(right) === 0 && (operator === "//" || operator === "%")) {
    throw new TemplateError("integer division or modulo by zero");
  }
  if (typeof left !== "bigint" && typeof right !== "bigint") {
    const result = onFloats(operator, Number(left), Number(right));
    // Beyond safe integers the number may be inexact.
    if (Number.isSafeInteger(result)) return result === 0 ? 0 : result;
  }
  return integer(onBigints(operator, BigInt(left), BigInt(right)));
}

function onBigints(operator: Operator, left: bigint, right: bigint): bigint {
  if (operator === "+") return left + right;
  if (operator === "-") return left - right;
  if (operator === "*") return left * right;
  const remainder = left % right;
  const isOff = remainder !== 0n && remainder < 0n !== right < 0n;
  if (operator === "%") return isOff ? remainder + right : remainder;
  return left / right - (isOff ? 1n : 0n);
}

function powerOf(base: number | bigint | boolean, exponent: number | bigint | boolean): number | bigint | Float {
  const power = Number(exponent);
  if (power < 0) return new Float(onFloats("**", Number(base), power));
  const big = BigInt(base);
  if (big.toString(2).length * power > MAX_POWER_BITS) throw new TemplateError("the result of a power is too large");
  return integer(big ** BigInt(power));
}

function onFloats(operator: Operator, left: number, right: number): number {
  if (operator === "+") return left + right;
  if (operator === "-") return left - right;
  if (operator === "*") return left * right;
  if (operator === "**") return floatPower(left, right);
  if (right === 0) throw new TemplateError(operator === "/" ? "division by zero" : "division or modulo by zero");
  if (operator === "/") return left / right;
  const remainder = left % right;
  const isOff = remainder !== 0 && remainder < 0 !== right < 0;
  // Without the remainder, the quotient is a whole number except for rounding errors.
  if (operator === "//") return Math.round((left - remainder) / right) - (isOff ? 1 : 0);
  if (remainder === 0) return right < 0 ? -0 : 0;
  return isOff ? remainder + right : remainder;
}

function floatPower(base: number, exponent: number): number {
  const power = base ** exponent;
  if (Number.isFinite(power) || !Number.isFinite(base)) return power;
  throw new TemplateError(
    base === 0 ? "0.0 cannot be raised to a negative power" : "the result of a power is too large",
  );
}
