import { z } from "zod";
import { optionDefault } from "../src/config/options.ts";
import { configSchema } from "../src/config/schema.ts";
import { snakeCase } from "../src/util/case.ts";
import { type AnyRecord, isRecord, keysOf } from "../src/util/objects.ts";

/** Metadata of options for pages and notices, which are not words of JSON Schema. */
const OWN_META: ReadonlySet<string> = new Set<string>([
  "isSecret",
  "group",
  "flag",
  "aliases",
  "fileOnly",
  "policies",
  "onlyWith",
]);

/** JSON Schema of what is given in this form, with the keys as files and bodies have them. */
export function jsonSchemaOf(schema: z.ZodType): AnyRecord {
  const { $schema: _version, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return snakeRecord(rest, false);
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
  return { ...snakeRecord({ ...schema }, true), title: "pointsman configuration" };
}

function isJson(value: unknown): value is string | number | boolean | unknown[] {
  return ["string", "number", "boolean"].includes(typeof value) || Array.isArray(value);
}

/**
 * Renames the keys under `properties` and `required`; all other keys belong to JSON Schema itself. `isFile`: there may be the file of a
 * secret in place of it; bodies of the API name no files.
 */
function snakeRecord(record: AnyRecord, isFile: boolean): AnyRecord {
  return Object.fromEntries(
    Object.entries(record).flatMap(([key, inner]): [string, unknown][] => {
      if (OWN_META.has(key)) return [];
      if (key === "properties" && isRecord(inner)) {
        const properties = Object.entries(inner).map(([name, property]) => [
          snakeCase(name),
          snakeValue(property, isFile),
        ]);
        return [[key, { ...(isFile ? secretFiles(inner) : {}), ...Object.fromEntries(properties) }]];
      }
      if (key === "required" && Array.isArray(inner)) {
        // Instead of a secret there may be the name of its file.
        const given = inner.map(String).filter((name) => !isFile || !isSecret(record, name));
        return [[key, given.map(snakeCase)]];
      }
      return [[key, snakeValue(inner, isFile)]];
    }),
  );
}

/** For each secret the option beside it that names its file. */
function secretFiles(properties: AnyRecord): AnyRecord {
  const secrets = Object.keys(properties).filter((name) => isSecret({ properties }, name));
  const description = (name: string): string => `File with the \`${snakeCase(name)}\`, in place of it.`;
  return Object.fromEntries(
    secrets.map((name) => [
      `${snakeCase(name)}_file`,
      { type: "string", minLength: 1, description: description(name) },
    ]),
  );
}

function isSecret({ properties }: AnyRecord, name: string): boolean {
  const property = isRecord(properties) ? properties[name] : undefined;
  return isRecord(property) && property["isSecret"] === true;
}

function snakeValue(value: unknown, isFile: boolean): unknown {
  if (Array.isArray(value)) return value.map((item) => snakeValue(item, isFile));
  return isRecord(value) ? snakeRecord(value, isFile) : value;
}
