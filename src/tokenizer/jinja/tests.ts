import { Arguments } from "./arguments.ts";
import { operate } from "./arithmetic.ts";
import { compare, contains, equals } from "./compare.ts";
import { FILTERS } from "./filters.ts";
import type { Runtime } from "./runtime.ts";
import { textOf } from "./text.ts";
import {
  Callable,
  type CallArguments,
  Float,
  Generated,
  isDict,
  isInteger,
  isNumber,
  lengthOf,
  TemplateError,
  Undefined,
  type Value,
  View,
} from "./values.ts";

type Test = (value: Value, args: CallArguments, runtime: Runtime) => boolean;

function plain(name: string, test: (value: Value, runtime: Runtime) => boolean): [string, Test] {
  return [
    name,
    (value, given, runtime) => {
      void new Arguments(name, [], given);
      return test(value, runtime);
    },
  ];
}

/** Tests with one other value, under all their names. */
function against(
  names: readonly string[],
  test: (value: Value, other: Value, runtime: Runtime) => boolean,
): [string, Test][] {
  return names.map((name) => [
    name,
    (value, given, runtime) => test(value, new Arguments(name, ["other"], given).value("other"), runtime),
  ]);
}

function isDivisible(value: Value, by: number, runtime: Runtime): boolean {
  return equals(operate("%", value, by, runtime.meter), 0, runtime.meter);
}

function isIterable(value: Value): boolean {
  return lengthOf(value) !== undefined || value instanceof Generated;
}

function isLetterCase(value: Value, runtime: Runtime, change: (text: string) => string): boolean {
  const text = textOf(value, runtime.meter);
  return /\p{L}/u.test(text) && text === change(text);
}

/** Jinja's tests by name. */
export const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>([
  plain("defined", (value) => !(value instanceof Undefined)),
  plain("undefined", (value) => value instanceof Undefined),
  plain("none", (value) => value === null),
  plain("boolean", (value) => typeof value === "boolean"),
  plain("true", (value) => value === true),
  plain("false", (value) => value === false),
  plain("integer", (value) => isInteger(value) && typeof value !== "boolean"),
  plain("float", (value) => value instanceof Float),
  plain("number", isNumber),
  plain("string", (value) => typeof value === "string"),
  plain("mapping", isDict),
  plain("iterable", isIterable),
  plain("sequence", (value) => lengthOf(value) !== undefined && !(value instanceof View)),
  plain("callable", (value) => value instanceof Callable || value instanceof Undefined),
  plain("escaped", () => false),
  plain("odd", (value, runtime) => equals(operate("%", value, 2, runtime.meter), 1, runtime.meter)),
  plain("even", (value, runtime) => isDivisible(value, 2, runtime)),
  plain("lower", (value, runtime) => isLetterCase(value, runtime, (text) => text.toLowerCase())),
  plain("upper", (value, runtime) => isLetterCase(value, runtime, (text) => text.toUpperCase())),
  plain("filter", (value) => typeof value === "string" && FILTERS.has(value)),
  plain("test", (value) => typeof value === "string" && TESTS.has(value)),
  ...against(["divisibleby"], (value, other, runtime) => {
    if (!isNumber(other)) throw new TemplateError("divisibleby needs a number");
    return equals(operate("%", value, other, runtime.meter), 0, runtime.meter);
  }),
  ...against(["eq", "equalto", "=="], (value, other, { meter }) => equals(value, other, meter)),
  ...against(["ne", "!="], (value, other, { meter }) => !equals(value, other, meter)),
  ...against(["lt", "lessthan", "<"], (value, other, { meter }) => compare(value, other, meter) < 0),
  ...against(["le", "<="], (value, other, { meter }) => compare(value, other, meter, "<=") <= 0),
  ...against(["gt", "greaterthan", ">"], (value, other, { meter }) => compare(value, other, meter, ">") > 0),
  ...against(["ge", ">="], (value, other, { meter }) => compare(value, other, meter, ">=") >= 0),
  ...against(["in"], (value, other, { meter }) => contains(other, value, meter)),
  ...against(["sameas"], (value, other) => value === other),
]);
