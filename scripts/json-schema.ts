import { z } from "zod";
import { optionDefault } from "../src/config/options.ts";
import { configSchema } from "../src/config/schema.ts";
import { snakeCase } from "../src/util/case.ts";
import { type AnyRecord, isRecord, keysOf } from "../src/util/objects.ts";

/** JSON Schema of what is given in this form, with the keys as files and bodies have them. */
export function jsonSchemaOf(schema: z.ZodType): AnyRecord {
  const { $schema: _version, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return snakeRecord(rest);
}

/** The JSON schema of the file, for editors. Its keys are the file's keys. */
export function configJsonSchema(): AnyRecord {
  const schema = z.toJSONSchema(configSchema, { io: "input", unrepresentable: "any" });
  const { properties } = schema;
  // zod leaves out the default of an option that has a transform.
  for (const key of keysOf(configSchema.shape)) {
    const [property, value] = [properties?.[key], optionDefault(key)];
    if (typeof property === "object" && isJson(value)) property.default ??= value;
  }
  return { ...snakeRecord(schema), title: "pointsman configuration" };
}

function isJson(value: unknown): value is string | number | boolean | unknown[] {
  return ["string", "number", "boolean"].includes(typeof value) || Array.isArray(value);
}

/** Renames the keys under `properties` and `required`; all other keys belong to JSON Schema itself. */
function snakeRecord(record: object): AnyRecord {
  return Object.fromEntries(
    Object.entries(record).flatMap(([key, inner]): [string, unknown][] => {
      // These are metadata of options for the pages, not words of JSON Schema.
      if (key === "group" || key === "flag" || key === "aliases" || key === "fileOnly") return [];
      if (key === "properties" && isRecord(inner)) {
        const properties = Object.entries(inner).map(([name, property]) => [snakeCase(name), snakeValue(property)]);
        return [[key, Object.fromEntries(properties)]];
      }
      if (key === "required" && Array.isArray(inner)) return [[key, inner.map((name) => snakeCase(String(name)))]];
      return [[key, snakeValue(inner)]];
    }),
  );
}

function snakeValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeValue);
  return isRecord(value) ? snakeRecord(value) : value;
}
