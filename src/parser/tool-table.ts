import { isJsonObject, type JsonObject } from "../protocol/json.ts";
import type { ToolSpec } from "./output-parser.ts";

export type JsonType = "string" | "integer" | "number" | "boolean" | "object" | "array" | "null";

/** Unions within unions that are looked into. */
const MAX_DEPTH = 8;

const NAMES: ReadonlySet<unknown> = new Set(["string", "integer", "number", "boolean", "object", "array", "null"]);

/** The tools of a request, by name. */
export class ToolTable {
  readonly #tools: readonly ToolSpec[];
  #byName: ReadonlyMap<string, ToolSpec> | undefined;

  constructor(tools: readonly ToolSpec[]) {
    this.#tools = tools;
  }

  /** Name of the tool where there is one only. */
  get onlyName(): string | undefined {
    return this.#tools.length === 1 ? this.#tools[0]?.name : undefined;
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  /** JSON types that the schema of a tool lets an argument have; empty where it says nothing. */
  types(name: string, argument: string): ReadonlySet<JsonType> {
    const types = new Set<JsonType>();
    const schema = this.#find(name)?.parameters;
    if (!isJsonObject(schema)) return types;
    const properties = schema["properties"];
    const property =
      isJsonObject(properties) && Object.hasOwn(properties, argument)
        ? properties[argument]
        : schema["additionalProperties"];
    collectTypes(property, schema, types, 0);
    return types;
  }

  #find(name: string): ToolSpec | undefined {
    this.#byName ??= new Map(this.#tools.map((tool) => [tool.name, tool]));
    return this.#byName.get(name);
  }
}

function collectTypes(schema: unknown, root: JsonObject, types: Set<JsonType>, depth: number): void {
  if (!isJsonObject(schema) || depth > MAX_DEPTH) return;
  const type = schema["type"];
  for (const name of Array.isArray(type) ? type : [type]) if (isType(name)) types.add(name);
  if (schema["nullable"] === true) types.add("null");
  if (type === undefined) for (const value of values(schema)) types.add(typeOf(value));
  for (const key of ["anyOf", "oneOf", "allOf"]) {
    const branches = schema[key];
    if (Array.isArray(branches)) for (const branch of branches) collectTypes(branch, root, types, depth + 1);
  }
  const reference = schema["$ref"];
  if (typeof reference === "string") collectTypes(resolve(reference, root), root, types, depth + 1);
}

/** What `enum` and `const` list. */
function values(schema: JsonObject): readonly unknown[] {
  const listed = schema["enum"];
  if (Array.isArray(listed)) return listed;
  return "const" in schema ? [schema["const"]] : [];
}

function typeOf(value: unknown): JsonType {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  if (typeof value === "string") return "string";
  return typeof value === "boolean" ? "boolean" : "object";
}

function isType(name: unknown): name is JsonType {
  return NAMES.has(name);
}

/** `#/$defs/City` within the schema of the tool. */
function resolve(reference: string, root: JsonObject): unknown {
  if (!reference.startsWith("#/")) return undefined;
  let at: unknown = root;
  for (const part of reference.slice(2).split("/")) {
    if (!isJsonObject(at) || !Object.hasOwn(at, part)) return undefined;
    at = at[part];
  }
  return at;
}
