import type { Meter } from "./meter.ts";

/**
 * A value of a running template, as Python has it. Integers are numbers, or bigints beyond what a number holds exactly; a list is
 * an array, a dict a map.
 */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Value[]
  | Dict
  | Float
  | Tuple
  | Range
  | View
  | Generated
  | Undefined
  | HostObject;

/** A key of a dict. */
export type Key = null | boolean | number | bigint | string;
export type Dict = ReadonlyMap<Key, Value>;

/** An error that Python would raise, with Python's message. */
export class TemplateError extends Error {}

/** A number with a point or an exponent; it may be a whole number. */
export class Float {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

/** Python's tuple. It is a class, because an array is Python's list. */
export class Tuple {
  readonly items: readonly Value[];

  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

/** A group of `groupby`: a pair with named halves. */
export class Group extends Tuple {
  readonly grouper: Value;
  readonly list: readonly Value[];

  constructor(grouper: Value, list: readonly Value[]) {
    super([grouper, list]);
    this.grouper = grouper;
    this.list = list;
  }
}

/** The result of `range()`. */
export class Range {
  readonly start: number;
  readonly stop: number;
  readonly step: number;

  constructor(start: number, stop: number, step: number) {
    this.start = start;
    this.stop = stop;
    this.step = step;
  }

  get length(): number {
    return Math.max(0, Math.ceil((this.stop - this.start) / this.step));
  }

  at(index: number): number {
    return this.start + index * this.step;
  }
}

/** The keys, values or items of a dict. */
export class View {
  readonly kind: "keys" | "values" | "items";
  readonly items: readonly Value[];

  constructor(kind: View["kind"], items: readonly Value[]) {
    this.kind = kind;
    this.items = items;
  }
}

/** The result of filters such as `map` and `select`. It is true even if empty, and can be looped over once. */
export class Generated {
  readonly #items: readonly Value[];
  #at = 0;

  constructor(items: readonly Value[]) {
    this.#items = items;
  }

  /** The members that have not been taken yet. */
  take(): readonly Value[] {
    const items = this.#at === 0 ? this.#items : this.#items.slice(this.#at);
    this.#at = this.#items.length;
    return items;
  }

  /** The next member; JavaScript's undefined at the end. */
  next(): Value | undefined {
    const item = this.#items[this.#at];
    this.#at += 1;
    return item;
  }
}

/** A missing value. It can be printed, tested and looped over. Any other use throws an error that names what is missing. */
export class Undefined {
  readonly #what: string;

  /** `what` is missing, as in "'x' is undefined". */
  constructor(what: string) {
    this.#what = what;
  }

  get error(): TemplateError {
    return new TemplateError(this.#what);
  }
}

/** A value with its own attributes. */
export abstract class HostObject {
  abstract readonly typeName: string;

  /** JavaScript's undefined where it has no attribute of this name. */
  abstract attribute(name: string): Value | undefined;
}

/** Arguments of a call: by position and by name. */
export interface CallArguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** A function, method or macro that a template can call. */
export class Callable extends HostObject {
  readonly typeName = "function";
  readonly name: string;
  readonly call: (args: CallArguments) => Value;

  constructor(name: string, call: (args: CallArguments) => Value) {
    super();
    this.name = name;
    this.call = call;
  }

  attribute(name: string): Value | undefined {
    return name === "name" ? this.name : undefined;
  }
}

/** The result of `namespace()`: the only value that a template can change. */
export class Namespace extends HostObject {
  readonly typeName = "Namespace";
  readonly members: Map<Key, Value>;

  constructor(members: Map<Key, Value>) {
    super();
    this.members = members;
  }

  attribute(name: string): Value | undefined {
    return this.members.get(name);
  }
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

export function isDict(value: Value): value is Dict {
  return value instanceof Map;
}

export function isNumber(value: Value): value is number | bigint | boolean | Float {
  return typeof value === "number" || typeof value === "bigint" || typeof value === "boolean" || value instanceof Float;
}

export function isInteger(value: Value): value is number | bigint | boolean {
  return typeof value === "number" || typeof value === "bigint" || typeof value === "boolean";
}

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  if (typeof value === "string") return "str";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number" || typeof value === "bigint") return "int";
  if (isList(value)) return "list";
  if (isDict(value)) return "dict";
  if (value instanceof HostObject) return value.typeName;
  if (value instanceof View) return `dict_${value.kind}`;
  if (value instanceof Float) return "float";
  if (value instanceof Tuple) return "tuple";
  if (value instanceof Range) return "range";
  return value instanceof Generated ? "generator" : "Undefined";
}

/** Python's `bool(value)`. */
export function isTrue(value: Value): boolean {
  if (typeof value === "boolean") return value;
  if (value === null || value instanceof Undefined) return false;
  if (typeof value === "string" || isList(value)) return value.length > 0;
  if (typeof value === "number" || typeof value === "bigint") return value !== 0 && value !== 0n;
  if (isDict(value)) return value.size > 0;
  if (value instanceof Float) return value.value !== 0;
  if (value instanceof Tuple || value instanceof View) return value.items.length > 0;
  return value instanceof Range ? value.length > 0 : true;
}

/** Characters as Python counts them: code points. */
export function charactersOf(text: string, meter: Meter): readonly string[] {
  meter.members(text.length);
  return Array.from(text);
}

const HAS_SURROGATES = /[\ud800-\udfff]/;

/** Whether the text has surrogates, so that its UTF-16 units are not its characters. */
export function hasSurrogates(text: string): boolean {
  return HAS_SURROGATES.test(text);
}

/** The members that a loop iterates over. Throws TemplateError for values that cannot be iterated. */
export function iterate(value: Value, meter: Meter): readonly Value[] {
  if (isList(value)) return value;
  if (isDict(value)) return [...value.keys()];
  if (typeof value === "string") return charactersOf(value, meter);
  if (value instanceof Tuple || value instanceof View) return value.items;
  if (value instanceof Undefined) return [];
  if (value instanceof Generated) return value.take();
  if (!(value instanceof Range)) throw new TemplateError(`'${typeName(value)}' object is not iterable`);
  const { length } = value;
  meter.members(length);
  return Array.from({ length }, (_, index) => value.at(index));
}

/** Python's `len`; undefined for values without a length. */
export function lengthOf(value: Value): number | undefined {
  if (typeof value === "string") return hasSurrogates(value) ? Array.from(value).length : value.length;
  if (isList(value)) return value.length;
  if (isDict(value)) return value.size;
  if (value instanceof Tuple || value instanceof View) return value.items.length;
  if (value instanceof Range) return value.length;
  return value instanceof Undefined ? 0 : undefined;
}

/** Turns a value into the key of a dict. Throws TemplateError for values that cannot be keys. */
export function keyOf(value: Value): Key {
  if (value === null || typeof value !== "object") return value;
  if (value instanceof Float && Number.isSafeInteger(value.value)) return value.value;
  throw new TemplateError(`a key of a dict cannot be of type '${typeName(value)}'`);
}

/** A Python integer: a number where that is exact, otherwise a bigint. */
export function integer(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}
