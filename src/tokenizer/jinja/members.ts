import type { MemberAccess } from "./brace-format.ts";
import type { Meter } from "./meter.ts";
import { dictMethod, listMethod } from "./container-methods.ts";
import { stringMethod } from "./string-methods.ts";
import {
  charactersOf,
  Group,
  hasSurrogates,
  HostObject,
  isDict,
  isInteger,
  isList,
  keyOf,
  Range,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** `value.name`: a method or attribute, else a member of this name, else an Undefined. */
export function attributeOf(value: Value, name: string, meter: Meter): Value {
  const own = ownAttribute(value, name, meter);
  if (own !== undefined) return own;
  const member = memberOf(value, name, meter);
  return member === undefined ? missing(value, name) : member;
}

/** `value[key]`: a member, else a method or attribute of this name, else an Undefined. */
export function itemOf(value: Value, key: Value, meter: Meter): Value {
  const member = memberOf(value, key, meter);
  if (member !== undefined) return member;
  const own = typeof key === "string" ? ownAttribute(value, key, meter) : undefined;
  return own === undefined ? missing(value, key) : own;
}

/** For fields of `text.format(...)`, which read members as an expression does. */
const MEMBERS: MemberAccess = { attributeOf, itemOf };

/** JavaScript's undefined where the value has no attribute of this name. */
export function ownAttribute(value: Value, name: string, meter: Meter): Value | undefined {
  if (typeof value === "string") return stringMethod(value, name, meter, MEMBERS);
  if (isDict(value)) return dictMethod(value, name);
  if (isList(value)) return listMethod(value, name, meter, true);
  if (value instanceof Group && (name === "grouper" || name === "list")) return value[name];
  if (value instanceof Tuple) return listMethod(value.items, name, meter, false);
  if (value instanceof Undefined) throw value.error;
  return value instanceof HostObject ? value.attribute(name) : undefined;
}

function memberOf(value: Value, key: Value, meter: Meter): Value | undefined {
  if (isDict(value)) return typeof key === "object" && key !== null ? memberByObject(value, key) : value.get(key);
  if (value instanceof Undefined) throw value.error;
  if (!isInteger(key)) return undefined;
  const index = Number(key);
  if (isList(value)) return value.at(index);
  if (value instanceof Tuple) return value.items.at(index);
  if (typeof value === "string") return hasSurrogates(value) ? charactersOf(value, meter).at(index) : value.at(index);
  if (!(value instanceof Range)) return undefined;
  const at = index < 0 ? index + value.length : index;
  return at >= 0 && at < value.length ? value.at(at) : undefined;
}

function memberByObject(dict: ReadonlyMap<unknown, Value>, key: Value): Value | undefined {
  return key instanceof Undefined ? undefined : dict.get(keyOf(key));
}

function missing(value: Value, key: Value): Undefined {
  if (typeof key !== "string") return new Undefined(`${typeName(value)} object has no such element`);
  const owner = value === null ? "None" : `'${typeName(value)} object'`;
  return new Undefined(`${owner} has no attribute '${key}'`);
}

/** `value[start:stop:step]`. Throws TemplateError for values that cannot be sliced. */
export function sliceOf(value: Value, [start, stop, step]: readonly Value[], meter: Meter): Value {
  if (value instanceof Undefined) throw value.error;
  if (value instanceof Range) return sliceOfRange(value, start, stop, step);
  const items =
    typeof value === "string"
      ? hasSurrogates(value)
        ? charactersOf(value, meter)
        : value
      : isList(value)
        ? value
        : value instanceof Tuple
          ? value.items
          : undefined;
  if (items === undefined) throw new TemplateError(`'${typeName(value)}' object is not subscriptable`);
  const by = bound(step) ?? 1;
  if (by === 0) throw new TemplateError("slice step cannot be zero");
  const length = items.length;
  const [from, to] = [limit(bound(start), length, by, by < 0), limit(bound(stop), length, by, by > 0)];
  if (by === 1) return rebuilt(value, items.slice(from, Math.max(from, to)));
  const picked: Value[] = [];
  for (let at = from; by > 0 ? at < to : at > to; at += by) picked.push(items[at] ?? null);
  meter.members(picked.length);
  return rebuilt(value, picked);
}

function sliceOfRange(range: Range, start: Value | undefined, stop: Value | undefined, step: Value | undefined): Range {
  const by = bound(step) ?? 1;
  if (by === 0) throw new TemplateError("slice step cannot be zero");
  const from = limit(bound(start), range.length, by, by < 0);
  const to = limit(bound(stop), range.length, by, by > 0);
  return new Range(range.at(from), range.at(to), range.step * by);
}

function rebuilt(value: Value, items: string | readonly Value[]): Value {
  if (typeof items === "string") return items;
  if (typeof value === "string") return items.map((item) => (typeof item === "string" ? item : "")).join("");
  return value instanceof Tuple ? new Tuple(items) : items;
}

function bound(value: Value | undefined): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (isInteger(value)) return Number(value);
  throw new TemplateError("slice indices must be integers or None");
}

/** Index where a slice begins or ends. Without a bound, `isEnd` says which end is meant. */
function limit(at: number | undefined, length: number, step: number, isEnd: boolean): number {
  const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
  if (at === undefined) return isEnd ? high : low;
  return Math.min(high, Math.max(low, at < 0 ? at + length : at));
}
