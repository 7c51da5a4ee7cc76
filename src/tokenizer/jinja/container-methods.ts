import { Arguments } from "./arguments.ts";
import { equals } from "./compare.ts";
import type { Meter } from "./meter.ts";
import { Callable, type CallArguments, type Dict, keyOf, TemplateError, Tuple, type Value, View } from "./values.ts";

/** Methods that change their object. The sandbox of transformers refuses them. */
const CHANGING: ReadonlySet<string> = new Set([
  "append",
  "clear",
  "extend",
  "insert",
  "pop",
  "popitem",
  "remove",
  "reverse",
  "setdefault",
  "sort",
  "update",
]);
const CHANGING_DICT: ReadonlySet<string> = new Set(["clear", "pop", "popitem", "setdefault", "update"]);

type DictMethod = (dict: Dict, args: CallArguments) => Value;

const DICT_METHODS: ReadonlyMap<string, DictMethod> = new Map<string, DictMethod>([
  ["items", (dict) => new View("items", itemsOf(dict))],
  ["keys", (dict) => new View("keys", [...dict.keys()])],
  ["values", (dict) => new View("values", [...dict.values()])],
  ["copy", (dict) => new Map(dict)],
  [
    "get",
    (dict, given) => {
      const args = new Arguments("get", ["key", "default"], given);
      const value = dict.get(keyOf(args.value("key")));
      return value === undefined ? args.or("default", null) : value;
    },
  ],
]);

/** Python's `dict.items()`. */
export function itemsOf(dict: Dict): Tuple[] {
  return Array.from(dict, (pair) => new Tuple(pair));
}

function refused(name: string): Callable {
  return new Callable(name, () => {
    throw new TemplateError(`${name}() would change a value, which templates cannot`);
  });
}

/** JavaScript's undefined where dicts have no method of this name. */
export function dictMethod(dict: Dict, name: string): Callable | undefined {
  const method = DICT_METHODS.get(name);
  if (method) return new Callable(name, (args) => method(dict, args));
  return CHANGING_DICT.has(name) ? refused(name) : undefined;
}

/** JavaScript's undefined where lists have no method of this name. Tuples have those that change nothing. */
export function listMethod(
  items: readonly Value[],
  name: string,
  meter: Meter,
  isChangeable: boolean,
): Callable | undefined {
  if (name === "index") return new Callable(name, (args) => indexIn(items, args, meter));
  if (name === "count") return new Callable(name, (args) => countIn(items, args, meter));
  if (!isChangeable) return undefined;
  if (name === "copy") return new Callable(name, () => items);
  return CHANGING.has(name) ? refused(name) : undefined;
}

function indexIn(items: readonly Value[], given: CallArguments, meter: Meter): Value {
  const args = new Arguments("index", ["value", "start", "stop"], given);
  const value = args.value("value");
  const [start, stop] = [args.whole("start", 0), args.whole("stop", items.length)];
  const at = items.slice(start, stop).findIndex((item) => equals(item, value, meter));
  if (at < 0) throw new TemplateError("a value is not in the list");
  return at + (start < 0 ? Math.max(0, start + items.length) : start);
}

function countIn(items: readonly Value[], given: CallArguments, meter: Meter): Value {
  const value = new Arguments("count", ["value"], given).value("value");
  return items.filter((item) => equals(item, value, meter)).length;
}
