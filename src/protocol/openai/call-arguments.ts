import type { JsonFields } from "../json/json-fields.ts";
import { jsonObjectOf, type JsonObject } from "../json/json.ts";

/**
 * The arguments of an earlier call: the JSON text of an object, or the object itself. The empty text stands for no arguments.
 * Throws invalid_request for anything else, as a template that reads the members would fail without saying where.
 */
export function readCallArguments(fields: JsonFields): string | JsonObject {
  const value = fields.value("arguments");
  if (typeof value === "object" && !Array.isArray(value)) return fields.object("arguments")?.json ?? "{}";
  if (typeof value !== "string") {
    if (value === undefined) return "{}";
    throw fields.error("arguments", "must be the JSON text of an object");
  }
  const text = value.trim();
  if (text === "" || text === "null") return "{}";
  fields.countJsonText("arguments", text.length);
  if (jsonObjectOf(text)) return value;
  throw fields.error("arguments", "must be the JSON text of an object");
}
