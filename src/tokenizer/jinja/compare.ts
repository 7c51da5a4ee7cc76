import type { Meter } from "./meter.ts";
import {
  type Dict,
  Float,
  isDict,
  isList,
  isNumber,
  iterate,
  keyOf,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** Turns a number of any kind into one that JavaScript can compare with any other. */
function comparable(value: number | bigint | boolean | Float): number | bigint {
  if (value instanceof Float) return value.value;
  return typeof value === "boolean" ? Number(value) : value;
}

/** Python's `==`: compares by value. Values of different kinds are not equal, except numbers and booleans. */
export function equals(a: Value, b: Value, meter: Meter): boolean {
  meter.spend(1);
  if (typeof a === "string" || typeof b === "string") return a === b;
  // oxlint-disable-next-line eqeqeq -- A bigint equals a number of the same value.
  if (isNumber(a) && isNumber(b)) return comparable(a) == comparable(b);
  if (isList(a) && isList(b)) return areEqualLists(a, b, meter);
  if (a instanceof Tuple && b instanceof Tuple) return areEqualLists(a.items, b.items, meter);
  if (isDict(a) && isDict(b)) return areEqualDicts(a, b, meter);
  return a === b || (a instanceof Undefined && b instanceof Undefined);
}

function areEqualLists(a: readonly Value[], b: readonly Value[], meter: Meter): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  meter.enter();
  const areEqual = a.every((member, index) => isSame(member, b[index], meter));
  meter.leave();
  return areEqual;
}

function areEqualDicts(a: Dict, b: Dict, meter: Meter): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  meter.enter();
  const areEqual = [...a].every(([key, member]) => isSame(member, b.get(key), meter));
  meter.leave();
  return areEqual;
}

function isSame(a: Value, b: Value | undefined, meter: Meter): boolean {
  return b !== undefined && (a === b || equals(a, b, meter));
}

/** Below 0 where `a` comes before `b`. Throws TemplateError for values without an order; the message names the operator `sign`. */
export function compare(a: Value, b: Value, meter: Meter, sign = "<"): number {
  meter.spend(1);
  if (typeof a === "string" && typeof b === "string") return compareText(a, b);
  if (isNumber(a) && isNumber(b)) {
    const [left, right] = [comparable(a), comparable(b)];
    return left < right ? -1 : left > right ? 1 : left === right ? 0 : Number.NaN;
  }
  if (isList(a) && isList(b)) return compareLists(a, b, meter, sign);
  if (a instanceof Tuple && b instanceof Tuple) return compareLists(a.items, b.items, meter, sign);
  for (const side of [a, b]) if (side instanceof Undefined) throw side.error;
  throw new TemplateError(`'${sign}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

/** Compares by code points; a surrogate sorts after all other units. */
function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at += 1) {
    const [left, right] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (left !== right) return order(left) - order(right);
  }
  return a.length - b.length;
}

function order(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

function compareLists(a: readonly Value[], b: readonly Value[], meter: Meter, sign: string): number {
  meter.enter();
  let difference = a.length - b.length;
  for (const [index, member] of a.entries()) {
    const other = b[index];
    if (other === undefined) break;
    if (equals(member, other, meter)) continue;
    difference = compare(member, other, meter, sign);
    break;
  }
  meter.leave();
  return difference;
}

/** Whether the dict has this key. Lists and dicts throw, because Python has no such keys; other values that cannot be keys here are in no dict. */
function hasKey(dict: Dict, value: Value): boolean {
  const isKey = value === null || typeof value !== "object" || isList(value) || isDict(value);
  const isWhole = value instanceof Float && Number.isSafeInteger(value.value);
  return isKey || isWhole ? dict.has(keyOf(value)) : false;
}

/** Python's `in`. */
export function contains(container: Value, value: Value, meter: Meter): boolean {
  if (typeof container === "string") {
    if (typeof value === "string") return container.includes(value);
    if (value instanceof Undefined) throw value.error;
    throw new TemplateError(`'in <string>' requires string as left operand, not ${typeName(value)}`);
  }
  if (isDict(container)) return hasKey(container, value);
  if (container === null || isNumber(container)) {
    throw new TemplateError(`argument of type '${typeName(container)}' is not iterable`);
  }
  const items = iterate(container, meter);
  meter.members(items.length);
  return items.some((item) => item === value || equals(item, value, meter));
}
