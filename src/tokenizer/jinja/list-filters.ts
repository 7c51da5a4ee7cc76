import type { Arguments } from "./arguments.ts";
import { operate } from "./arithmetic.ts";
import { pathReader, withoutCase } from "./attribute-path.ts";
import { compare, equals } from "./compare.ts";
import { itemsOf } from "./container-methods.ts";
import { filter, type Filter } from "./filter.ts";
import type { Runtime } from "./runtime.ts";
import { joinTexts } from "./string-operations.ts";
import { textOf } from "./text.ts";
import {
  charactersOf,
  Generated,
  Group,
  isDict,
  iterate,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

type Reader = (value: Value) => Value;

export const LIST_FILTERS: readonly (readonly [string, Filter])[] = [
  filter("list", [], (value, _, { meter }) => [...iterate(value, meter)]),
  filter("first", [], (value, _, { meter }) => {
    const first = value instanceof Generated ? value.next() : iterate(value, meter)[0];
    return first === undefined ? new Undefined("No first item, sequence was empty.") : first;
  }),
  filter("last", [], (value, _, { meter }) => {
    if (value instanceof Generated) throw new TemplateError("'generator' object is not reversible");
    const last = iterate(value, meter).at(-1);
    return last === undefined ? new Undefined("No last item, sequence was empty.") : last;
  }),
  filter("join", ["d", "attribute"], (value, args, runtime) => {
    const items = iterate(value, runtime.meter);
    const path = args.some("attribute");
    const shown = path === undefined ? items : items.map(pathReader(path, runtime));
    return joinTexts(shown, textOf(args.optional("d") ?? "", runtime.meter), runtime.meter);
  }),
  filter("reverse", [], (value, _, { meter }) => {
    if (typeof value === "string") return charactersOf(value, meter).toReversed().join("");
    if (value instanceof Generated || value instanceof Undefined) return [...iterate(value, meter)].toReversed();
    return new Generated(iterate(value, meter).toReversed());
  }),
  filter("sort", ["reverse", "case_sensitive", "attribute"], (value, args, runtime) => {
    const items = iterate(value, runtime.meter);
    const read = sortKeys(args, runtime);
    return sorted(items, read, args.flag("reverse"), runtime);
  }),
  filter("unique", ["case_sensitive", "attribute"], (value, args, runtime) =>
    unique(value, keyReader(args, runtime), runtime),
  ),
  filter("min", ["case_sensitive", "attribute"], (value, args, runtime) =>
    extreme(value, keyReader(args, runtime), -1, runtime),
  ),
  filter("max", ["case_sensitive", "attribute"], (value, args, runtime) =>
    extreme(value, keyReader(args, runtime), 1, runtime),
  ),
  filter("sum", ["attribute", "start"], (value, args, runtime) => {
    const path = args.some("attribute");
    const items = iterate(value, runtime.meter);
    const shown = path === undefined ? items : items.map(pathReader(path, runtime));
    return shown.reduce<Value>((sum, item) => operate("+", sum, item, runtime.meter), args.or("start", 0));
  }),
  filter("items", [], (value) => {
    if (value instanceof Undefined) return new Generated([]);
    if (!isDict(value)) throw new TemplateError("Can only get item pairs from a mapping.");
    return new Generated(itemsOf(value));
  }),
  filter("dictsort", ["case_sensitive", "by", "reverse"], (value, args, runtime) => dictSort(value, args, runtime)),
  filter("groupby", ["attribute", "default", "case_sensitive"], (value, args, runtime) =>
    groupBy(value, args, runtime),
  ),
  filter("batch", ["linecount", "fill_with"], (value, args, { meter }) => {
    const [items, size, fill] = [iterate(value, meter), args.whole("linecount"), args.some("fill_with")];
    if (size < 1) throw new TemplateError("linecount must be 1 at least");
    const rows = Array.from({ length: Math.ceil(items.length / size) }, (_, row) =>
      items.slice(row * size, (row + 1) * size),
    );
    return new Generated(fill === undefined ? rows : rows.map((row) => filled(row, size, fill)));
  }),
  filter("slice", ["slices", "fill_with"], (value, args, { meter }) => {
    const [items, count, fill] = [iterate(value, meter), args.whole("slices"), args.some("fill_with")];
    if (count < 1) throw new TemplateError("slices must be 1 at least");
    meter.members(count);
    return new Generated(slices(items, count, fill));
  }),
];

function filled(row: readonly Value[], size: number, fill: Value): readonly Value[] {
  return [...row, ...Array.from({ length: size - row.length }, () => fill)];
}

function slices(items: readonly Value[], count: number, fill: Value | undefined): Value[] {
  const [size, more] = [Math.floor(items.length / count), items.length % count];
  let from = 0;
  return Array.from({ length: count }, (_, index) => {
    const end = from + size + (index < more ? 1 : 0);
    const slice = items.slice(from, end);
    from = end;
    return fill !== undefined && index >= more && more > 0 ? [...slice, fill] : slice;
  });
}

/** Reads the key of a member: its `attribute`, in lower case unless case counts. */
function keyReader(args: Arguments, runtime: Runtime): Reader {
  const path = args.some("attribute");
  const read = path === undefined ? (value: Value) => value : pathReader(path, runtime);
  return args.flag("case_sensitive") ? read : (value) => withoutCase(read(value));
}

/** Reads the keys of a member, where `attribute` may name several. */
function sortKeys(args: Arguments, runtime: Runtime): Reader {
  const path = args.some("attribute");
  if (typeof path !== "string" || !path.includes(",")) {
    const read = keyReader(args, runtime);
    // Like Jinja, keep keys in lists: equal keys without an order then compare without an error.
    return (value) => [read(value)];
  }
  const readers = path.split(",").map((one) => pathReader(one, runtime));
  const change = args.flag("case_sensitive") ? (value: Value) => value : withoutCase;
  return (value) => readers.map((read) => change(read(value)));
}

/** Sorts members by their keys. Members with equal keys keep their order, also in reverse. */
function sorted(items: readonly Value[], read: Reader, isReverse: boolean, { meter }: Runtime): Value[] {
  meter.members(items.length);
  const keyed = items.map((item) => ({ item, key: read(item) }));
  const sign = isReverse ? -1 : 1;
  return keyed.sort((a, b) => sign * compare(a.key, b.key, meter)).map(({ item }) => item);
}

function unique(value: Value, read: Reader, { meter }: Runtime): Generated {
  const seen: Value[] = [];
  const seenTexts = new Set<Value>();
  const items = iterate(value, meter).filter((item) => {
    const key = read(item);
    const isKnown = typeof key === "string" ? seenTexts.has(key) : seen.some((other) => equals(other, key, meter));
    if (typeof key === "string") seenTexts.add(key);
    else if (!isKnown) seen.push(key);
    return !isKnown;
  });
  return new Generated(items);
}

/** The first of the smallest (`sign` -1) or largest (1) members. */
function extreme(value: Value, read: Reader, sign: -1 | 1, { meter }: Runtime): Value {
  const [first, ...rest] = iterate(value, meter);
  if (first === undefined) return new Undefined("No aggregated item, sequence was empty.");
  let found = { item: first, key: read(first) };
  for (const item of rest) {
    const key = read(item);
    if (sign * compare(key, found.key, meter) > 0) found = { item, key };
  }
  return found.item;
}

function dictSort(value: Value, args: Arguments, runtime: Runtime): Value {
  if (!isDict(value)) {
    throw value instanceof Undefined
      ? value.error
      : new TemplateError(`'${typeName(value)}' object has no attribute 'items'`);
  }
  const by = args.text("by", "key");
  if (by !== "key" && by !== "value") throw new TemplateError('You can only sort by either "key" or "value"');
  const at = by === "key" ? 0 : 1;
  const read = (pair: Value): Value => (pair instanceof Tuple ? (pair.items[at] ?? null) : null);
  const key = args.flag("case_sensitive") ? read : (pair: Value) => withoutCase(read(pair));
  return sorted(itemsOf(value), key, args.flag("reverse"), runtime);
}

function groupBy(value: Value, args: Arguments, runtime: Runtime): Value {
  const read = pathReader(args.value("attribute"), runtime, args.optional("default"));
  const key = args.flag("case_sensitive") ? read : (item: Value) => withoutCase(read(item));
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sorted(iterate(value, runtime.meter), key, false, runtime)) {
    const last = groups.at(-1);
    if (last && equals(last.key, key(item), runtime.meter)) last.items.push(item);
    else groups.push({ key: key(item), items: [item] });
  }
  return groups.map(({ items }) => new Group(read(items[0] ?? null), items));
}
