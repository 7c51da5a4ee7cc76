import { itemOf } from "./members.ts";
import type { Runtime } from "./runtime.ts";
import { isInteger, Undefined, type Value } from "./values.ts";

/** Returns a function that reads `a.b.0` in a value, as filters with an `attribute` do. */
export function pathReader(path: Value, runtime: Runtime, otherwise?: Value): (value: Value) => Value {
  const keys = keysOf(path);
  return (value) => {
    let found = value;
    for (const key of keys) {
      runtime.meter.spend(1);
      found = itemOf(found, key, runtime.meter);
      if (otherwise !== undefined && found instanceof Undefined) found = otherwise;
    }
    return found;
  };
}

function keysOf(path: Value): readonly Value[] {
  if (isInteger(path)) return [path];
  if (typeof path !== "string") return [];
  return path.split(".").map((key) => (/^\d+$/.test(key) ? Number(key) : key));
}

/** Lower-cases texts, for comparisons that ignore case. */
export function withoutCase(value: Value): Value {
  return typeof value === "string" ? value.toLowerCase() : value;
}
