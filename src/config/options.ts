import { z } from "zod";
import { snakeCase } from "../util/case.ts";
import { unwrapped } from "../util/wrong-value.ts";
import { type ConfigKey, configSchema, optionMeta } from "./schema.ts";

/** How the text of an option's flag or variable is read. */

export type OptionKind = "boolean" | "number" | "string" | "list";

/** The main flag of an option. */
export function flagName(key: ConfigKey): string {
  return optionMeta(key).flag ?? `--${snakeCase(key).replaceAll("_", "-")}`;
}

/** All names of an option's flag; none for an option without a flag. */
export function flagNames(key: ConfigKey): string[] {
  const { fileOnly, aliases = [] } = optionMeta(key);
  return fileOnly === true ? [] : [flagName(key), ...aliases];
}

/** Name of the variable for a flag. */
export function envNameOfFlag(flag: string): string {
  return `POINTSMAN_${flag.slice(2).replaceAll("-", "_").toUpperCase()}`;
}

/** The main environment variable of an option. */
export function envName(key: ConfigKey): string {
  return `POINTSMAN_${snakeCase(key).toUpperCase()}`;
}

/** How the text of an option is read, by the type in its schema. */
export function optionKind(key: ConfigKey): OptionKind {
  return kindOf(configSchema.shape[key]);
}

function kindOf(type: z.core.$ZodType): OptionKind {
  const inner = unwrapped(type);
  if (inner instanceof z.ZodBoolean) return "boolean";
  if (inner instanceof z.ZodNumber) return "number";
  return inner instanceof z.ZodArray ? "list" : "string";
}

/** The default in the user's spelling; undefined where there is none. */
export function optionDefault(key: ConfigKey): unknown {
  return defaultOf(configSchema, key);
}

/** The default of a member of an object's type; undefined where there is none. */
export function defaultOf(type: z.core.$ZodType | undefined, member: string): unknown {
  const found = type instanceof z.ZodObject ? type.shape[member] : undefined;
  return found instanceof z.ZodDefault ? found.def.defaultValue : undefined;
}

/** Turns the text of a flag or variable into the value that the schema checks. Other text stays text, and the schema refuses it. */
export function coerce(key: ConfigKey, text: string): unknown {
  return coerceAs(configSchema.shape[key], text);
}

/** Turns text into a value of a type; it stays text where there is no type, or it does not fit. */
export function coerceAs(type: z.core.$ZodType | undefined, text: string): unknown {
  switch (type && kindOf(type)) {
    case "boolean":
      return BOOLEANS.get(text.toLowerCase()) ?? text;
    case "number":
      return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
    case "list":
      return splitList(text);
    case "string":
    case undefined:
      return text;
  }
}

/** Splits `a, b` into two items; no option has a comma within an item. */
export function splitList(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["1", true],
  ["false", false],
  ["0", false],
]);
