import { Arguments } from "./arguments.ts";
import type { Runtime } from "./runtime.ts";
import type { CallArguments, Value } from "./values.ts";

/** A Jinja filter. Throws TemplateError for values that it does not take. */
export type Filter = (value: Value, args: CallArguments, runtime: Runtime) => Value;

/** Makes a filter with these parameters. */
export function filter(
  name: string,
  parameters: readonly string[],
  apply: (value: Value, args: Arguments, runtime: Runtime) => Value,
): [string, Filter] {
  return [name, (value, given, runtime) => apply(value, new Arguments(name, parameters, given), runtime)];
}
