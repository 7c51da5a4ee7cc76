import { pathReader } from "./attribute-path.ts";
import type { Filter } from "./filter.ts";
import { attributeOf, ownAttribute } from "./members.ts";
import { filter } from "./filter.ts";
import type { Runtime } from "./runtime.ts";
import { type CallArguments, Generated, isTrue, iterate, TemplateError, Undefined, type Value } from "./values.ts";

export const SELECT_FILTERS: readonly (readonly [string, Filter])[] = [
  ["map", map],
  ["select", (value, args, runtime) => chosen(value, args, runtime, false, true)],
  ["reject", (value, args, runtime) => chosen(value, args, runtime, false, false)],
  ["selectattr", (value, args, runtime) => chosen(value, args, runtime, true, true)],
  ["rejectattr", (value, args, runtime) => chosen(value, args, runtime, true, false)],
  filter("attr", ["name"], (value, args, { meter }) => {
    const name = args.text("name");
    // A dict's members are not its attributes.
    return value instanceof Undefined
      ? attributeOf(value, name, meter)
      : (ownAttribute(value, name, meter) ?? new Undefined(`there is no attribute '${name}'`));
  }),
];

/** The members of a value; none for a false value, which these filters do not look into. */
function membersOf(value: Value, runtime: Runtime): readonly Value[] {
  if (!isTrue(value)) return [];
  const items = iterate(value, runtime.meter);
  runtime.meter.members(items.length);
  return items;
}

function map(value: Value, { positional, named }: CallArguments, runtime: Runtime): Value {
  const items = membersOf(value, runtime);
  const attribute = named.get("attribute");
  if (positional.length === 0 && attribute !== undefined) {
    const unknown = [...named.keys()].find((name) => name !== "attribute" && name !== "default");
    if (unknown !== undefined) throw new TemplateError(`Unexpected keyword argument '${unknown}'`);
    return new Generated(items.map(pathReader(attribute, runtime, named.get("default"))));
  }
  const [name, ...rest] = positional;
  if (typeof name !== "string") throw new TemplateError("map requires a filter argument");
  return new Generated(items.map((item) => runtime.filter(name, item, { positional: rest, named })));
}

function chosen(
  value: Value,
  { positional, named }: CallArguments,
  runtime: Runtime,
  hasPath: boolean,
  wants: boolean,
): Value {
  const items = membersOf(value, runtime);
  const [path, ...others] = hasPath ? positional : [null, ...positional];
  if (hasPath && path === undefined) throw new TemplateError("Missing parameter for attribute name");
  const read = hasPath && path !== undefined ? pathReader(path, runtime) : (item: Value) => item;
  const [test, ...rest] = others;
  if (test === undefined) return new Generated(items.filter((item) => isTrue(read(item)) === wants));
  if (typeof test !== "string") throw new TemplateError("the name of a test must be a string");
  const args = { positional: rest, named };
  return new Generated(items.filter((item) => runtime.test(test, read(item), args) === wants));
}
