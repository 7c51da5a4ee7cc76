import { isJson, jsonString } from "./json-value.ts";
import { pythonToJson } from "./python-literal.ts";
import type { JsonType } from "./tool-table.ts";

/** Reads a text as a value of a type; undefined where it is none. Digits stay as they are, so numbers stay exact. */
const READERS: readonly (readonly [JsonType, (text: string) => string | undefined])[] = [
  ["null", (text) => (text === "null" || text === "None" ? "null" : undefined)],
  ["boolean", readBoolean],
  ["integer", (text) => (/^-?(?:0|[1-9][0-9]*)$/.test(text) ? text : undefined)],
  ["number", (text) => (/^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/.test(text) ? text : undefined)],
  ["object", (text) => readContainer(text, "{")],
  ["array", (text) => readContainer(text, "[")],
];

/**
 * The JSON of an argument that the model wrote as plain text, by the types that the schema lets it have. Where none of
 * them fits: what it looks like.
 */
export function argumentJson(text: string, types: ReadonlySet<JsonType>): string {
  const trimmed = text.trim();
  for (const [type, read] of READERS) {
    const json = types.has(type) ? read(trimmed) : undefined;
    if (json !== undefined) return json;
  }
  return types.has("string") ? stringJson(text) : guessJson(text);
}

/** A text as a JSON string; where it is a JSON string literal already, that one. */
export function stringJson(text: string): string {
  const literal = text.trimStart().startsWith('"') ? jsonString(text.trim()) : undefined;
  return JSON.stringify(literal ?? text);
}

/** JSON where the text is JSON or a Python literal, else a string. */
function guessJson(text: string): string {
  const trimmed = text.trim();
  if (isJson(trimmed)) return trimmed;
  return pythonToJson(trimmed) ?? JSON.stringify(text);
}

/** A value that the format says is JSON: a string where it is not. */
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
