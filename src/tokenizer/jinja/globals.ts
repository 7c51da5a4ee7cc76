import { Arguments } from "./arguments.ts";
import { Cycler, joiner } from "./loop.ts";
import type { Meter } from "./meter.ts";
import {
  Callable,
  type CallArguments,
  isDict,
  iterate,
  type Key,
  keyOf,
  Namespace,
  Range,
  TemplateError,
  type Value,
} from "./values.ts";

/** An error that the template raised about the request (`raise_exception`). */
export class TemplateRefusal extends Error {}

/** Makes the functions that every template can call. */
export function createGlobals(meter: Meter, strftime: (format: string) => string): Map<string, Value> {
  const functions: readonly (readonly [string, (args: CallArguments) => Value])[] = [
    ["range", rangeOf],
    ["dict", (args) => members(args, "dict", meter)],
    ["namespace", (args) => new Namespace(members(args, "namespace", meter))],
    ["joiner", (args) => joiner(new Arguments("joiner", ["sep"], args).text("sep", ", "))],
    ["cycler", ({ positional }) => new Cycler(positional)],
    ["strftime_now", (args) => strftime(new Arguments("strftime_now", ["format"], args).text("format"))],
    ["raise_exception", refuse],
  ];
  return new Map(functions.map(([name, call]): [string, Value] => [name, new Callable(name, call)]));
}

function refuse(args: CallArguments): Value {
  const message = new Arguments("raise_exception", ["message"], args).value("message");
  throw new TemplateRefusal(typeof message === "string" ? message : "the chat template refuses these messages");
}

function rangeOf(given: CallArguments): Range {
  const isOne = given.positional.length === 1;
  const args = new Arguments("range", isOne ? ["stop"] : ["start", "stop", "step"], given);
  const step = isOne ? 1 : args.whole("step", 1);
  if (step === 0) throw new TemplateError("range() arg 3 must not be zero");
  return new Range(isOne ? 0 : args.whole("start"), args.whole("stop"), step);
}

/** Collects members for a dict or namespace: from a dict or from pairs, and from named arguments. */
function members({ positional, named }: CallArguments, name: string, meter: Meter): Map<Key, Value> {
  if (positional.length > 1) throw new TemplateError(`${name} expected at most 1 argument, got ${positional.length}`);
  const entries = new Map<Key, Value>();
  const [source] = positional;
  if (source !== undefined && isDict(source)) for (const [key, value] of source) entries.set(key, value);
  else if (source !== undefined) {
    for (const pair of iterate(source, meter)) {
      const [key, value, ...more] = iterate(pair, meter);
      if (key === undefined || value === undefined || more.length > 0) throw new TemplateError(`${name} needs pairs`);
      entries.set(keyOf(key), value);
    }
  }
  for (const [key, value] of named) entries.set(key, value);
  return entries;
}
