import type { ArgumentSchema, JsonType } from "./argument-schema.ts";
import { isJson, jsonString } from "./json-value.ts";
import { pythonToJson } from "./python-literal.ts";

/** Reads a text as a value of a type; undefined where it does not fit. Digits are copied, so numbers stay exact. */
const READERS: readonly (readonly [JsonType, (text: string) => string | undefined])[] = [
  ["null", (text) => (text === "null" || text === "None" ? "null" : undefined)],
  ["boolean", readBoolean],
  ["integer", (text) => (/^-?(?:0|[1-9][0-9]*)$/.test(text) ? text : undefined)],
  ["number", (text) => (/^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/.test(text) ? text : undefined)],
  ["object", (text) => readContainer(text, "{")],
  ["array", (text) => readContainer(text, "[")],
];

/**
 * Turns an argument that the model wrote as plain text into JSON. The schema's types decide how to read it. Where none of
 * them fits, the text has the type that it looks like.
 */
export function argumentJson(text: string, schema: ArgumentSchema): string {
  const { types } = schema;
  const trimmed = text.trim();
  const isListed = schema.lists(text);
  const json = readAs(isListed ? schema.openTypes : types, trimmed);
  if (json !== undefined) return json;
  if (isListed) return JSON.stringify(text);
  if (types.has("string")) {
    // With several types allowed, quotes mean that the value is a string.
    const literal = trimmed.startsWith('"') ? jsonString(trimmed) : undefined;
    return JSON.stringify(literal !== undefined && readAs(types, literal) !== undefined ? literal : text);
  }
  if (isJson(trimmed)) return trimmed;
  // 1_000 and .5 are numbers only where the schema wants a number.
  const isWanted = !/^[-+.0-9]/.test(trimmed) || types.has("integer") || types.has("number");
  return (isWanted ? pythonToJson(trimmed) : undefined) ?? JSON.stringify(text);
}

/** Reads the text as the first type that it fits, strings excepted. */
function readAs(types: ReadonlySet<JsonType>, text: string): string | undefined {
  for (const [type, read] of READERS) {
    const json = types.has(type) ? read(text) : undefined;
    if (json !== undefined) return json;
  }
  return undefined;
}

/** Returns a value that the format declares to be JSON. Text that is not JSON becomes a JSON string. */
export function jsonOrString(text: string): string {
  const trimmed = text.trim();
  return isJson(trimmed) ? trimmed : JSON.stringify(text);
}

function readBoolean(text: string): string | undefined {
  if (text === "true" || text === "True") return "true";
  return text === "false" || text === "False" ? "false" : undefined;
}

function readContainer(text: string, open: string): string | undefined {
  if (!text.startsWith(open)) return undefined;
  return isJson(text) ? text : pythonToJson(text);
}
