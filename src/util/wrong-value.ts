import { z } from "zod";
import { withoutUser } from "./address-user.ts";
import { type AnyRecord, isRecord } from "./objects.ts";

/** Most characters of a value in a message. */
const SHOWN = 80;

/**
 * What is wrong with a value, in words that go behind its name: `must be a whole number from 1 to 9, not "many"`. `input` is what the schema
 * checked. Unknown keys are for the caller to name.
 */
export function wrongValueText(issue: z.core.$ZodIssue, schema: z.core.$ZodType, input: unknown): string {
  const { path } = issue;
  // The schema has its own message for these.
  if (issue.code === "custom" || issue.code === "invalid_format") return issue.message;
  const value = valueAt(input, path);
  if (value === undefined && issue.code === "invalid_type") return "is missing";
  const type = typeAt(schema, path);
  const expected = type && expectedOf(type);
  return expected ? `must be ${expected}${shown(value, path, expected)}` : "is not valid";
}

/** The type of the value at this path; undefined where the schema has none. */
export function typeAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): z.core.$ZodType | undefined {
  let type = unwrapped(schema);
  for (const part of path) {
    let inner: z.core.$ZodType | undefined;
    if (type instanceof z.ZodObject) inner = Object.hasOwn(type.shape, part) ? type.shape[String(part)] : undefined;
    else if (type instanceof z.ZodArray) inner = type.element;
    else if (type instanceof z.ZodRecord) inner = type.valueType;
    if (!inner) return undefined;
    type = unwrapped(inner);
  }
  return type;
}

const LIST = "a list";

/** Describes the expected value: "a whole number from 1 to 65535". */
function expectedOf(type: z.core.$ZodType): string {
  const schema: AnyRecord = z.toJSONSchema(type, { io: "input", unrepresentable: "any" });
  if (Array.isArray(schema["enum"])) return `one of ${schema["enum"].join(", ")}`;
  switch (schema["type"]) {
    case "boolean":
      return "true or false";
    case "integer":
      return `a whole number from ${Number(schema["minimum"])} to ${Number(schema["maximum"])}`;
    case "number": {
      const above = schema["exclusiveMinimum"];
      const from = typeof above === "number" ? `above ${above} and at most` : `from ${Number(schema["minimum"])} to`;
      return `a number ${from} ${Number(schema["maximum"])}`;
    }
    case "array":
      return `${LIST}${entriesOf(schema)}`;
    case "object":
      return "a mapping of options";
    default:
      return textOf(schema);
  }
}

function entriesOf({ minItems, maxItems }: AnyRecord): string {
  if (typeof maxItems !== "number") return typeof minItems === "number" ? " that is not empty" : "";
  return ` of ${typeof minItems === "number" ? `${minItems} to` : "at most"} ${maxItems} entries`;
}

function textOf({ minLength, maxLength }: AnyRecord): string {
  if (typeof maxLength === "number") return `a text of ${Number(minLength ?? 0)} to ${maxLength} characters`;
  return typeof minLength === "number" ? "a text that is not empty" : "a text";
}

/** Shows the given value: `, not "many"`. Empty for a value that may be a secret. */
function shown(value: unknown, path: readonly PropertyKey[], expected: string): string {
  if (/key$/i.test(String(path.at(-1)))) return "";
  if (Array.isArray(value)) return expected.startsWith(LIST) ? `, not one of ${value.length}` : ", not a list";
  if (isRecord(value)) return ", not a mapping";
  // JSON has no infinite numbers, and YAML has.
  const text = typeof value === "number" ? String(value) : withoutUser(JSON.stringify(value) ?? String(value));
  return `, not ${text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text}`;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const part of path) {
    if (Array.isArray(value)) value = value[Number(part)];
    else value = isRecord(value) && Object.hasOwn(value, part) ? value[String(part)] : undefined;
  }
  return value;
}

/** The type without its default, and without what says that it may be absent or null. */
export function unwrapped(type: z.core.$ZodType): z.core.$ZodType {
  const isWrapped = type instanceof z.ZodDefault || type instanceof z.ZodOptional || type instanceof z.ZodNullable;
  if (isWrapped) return unwrapped(type.def.innerType);
  if (!(type instanceof z.ZodPipe)) return type;
  // A preprocessed value has the type that it is prepared for.
  return unwrapped(type.def.in instanceof z.ZodTransform ? type.def.out : type.def.in);
}
