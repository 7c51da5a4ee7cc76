import type { Meter } from "./meter.ts";
import { floatText, represent } from "./text.ts";
import { Float, isDict, isList, type Key, TemplateError, Tuple, typeName, type Value } from "./values.ts";

export interface JsonStyle {
  /** Indentation for each level; undefined where everything is on one line. */
  readonly indent: string | undefined;
  readonly separators: readonly [item: string, key: string];
  readonly isAscii: boolean;
  readonly isSorted: boolean;
}

/** Python's `json.dumps`. Throws TemplateError for values that JSON cannot express. */
export function jsonText(value: Value, style: JsonStyle, meter: Meter, depth = 0): string {
  meter.spend(1);
  if (typeof value === "string") return stringText(value, style.isAscii);
  if (value === null) return "null";
  if (typeof value !== "object") return String(value);
  if (value instanceof Float) return numberText(value.value);
  if (isList(value) || value instanceof Tuple)
    return listText(isList(value) ? value : value.items, style, meter, depth);
  if (isDict(value)) {
    let entries = [...value];
    if (style.isSorted) entries = entries.sort(([a], [b]) => compareKeys(a, b));
    const member = ([key, entry]: readonly [Key, Value]) =>
      `${stringText(keyText(key, meter), style.isAscii)}${style.separators[1]}${jsonText(entry, style, meter, depth + 1)}`;
    return enclosed("{", "}", entries, member, style, meter, depth);
  }
  throw new TemplateError(`Object of type ${typeName(value)} is not JSON serializable`);
}

function listText(items: readonly Value[], style: JsonStyle, meter: Meter, depth: number): string {
  return enclosed("[", "]", items, (item) => jsonText(item, style, meter, depth + 1), style, meter, depth);
}

function enclosed<T>(
  open: string,
  close: string,
  members: readonly T[],
  write: (member: T) => string,
  { indent, separators }: JsonStyle,
  meter: Meter,
  depth: number,
): string {
  if (members.length === 0) return open + close;
  meter.enter();
  // Indentation counts like text, because many short members may have a wide indentation.
  if (indent !== undefined) meter.makeText(indent.length * (depth + 1) * members.length);
  const line = indent === undefined ? "" : `\n${indent.repeat(depth + 1)}`;
  let text = open;
  for (const [index, member] of members.entries()) {
    text += `${index === 0 ? "" : separators[0]}${line}${write(member)}`;
    meter.makeText(text.length);
  }
  meter.leave();
  return `${text}${indent === undefined ? "" : `\n${indent.repeat(depth)}`}${close}`;
}

function compareKeys(a: Key, b: Key): number {
  const [left, right] = [String(a), String(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function keyText(key: Key, meter: Meter): string {
  if (typeof key === "string") return key;
  if (key === null) return "null";
  return typeof key === "boolean" ? String(key) : represent(key, meter);
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "Infinity" : "-Infinity";
  return floatText(value);
}

function stringText(text: string, isAscii: boolean): string {
  const json = JSON.stringify(text);
  if (!isAscii) return json;
  return json.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
