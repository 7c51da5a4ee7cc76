import { isJsonObject, type JsonObject } from "../protocol/json/json.ts";

export type JsonType = "string" | "integer" | "number" | "boolean" | "object" | "array" | "null";

const NAMES: ReadonlySet<unknown> = new Set(["string", "integer", "number", "boolean", "object", "array", "null"]);

/**
 * The JSON schema of one value of a tool call: the arguments as a whole, or one argument. It follows references and unions.
 * Where the branches of a union differ, the value may fit any of them.
 */
export class ArgumentSchema {
  readonly #root: unknown;
  readonly #nodes: readonly JsonObject[];
  /** The schemas that name the value's types. A schema below one with a type only narrows it, so it is not among them. */
  readonly #typing: readonly JsonObject[];

  /** `root` is the schema that `$ref` points into. */
  constructor(schemas: readonly unknown[], root: unknown) {
    this.#root = root;
    const nodes = schemas.filter(isJsonObject);
    const isFlat = nodes.length < 2 && nodes.every((node) => branchesOf(node, root).length === 0);
    const all = isFlat ? undefined : branches(nodes, root);
    this.#nodes = all ? [...all.keys()] : nodes;
    this.#typing = all ? this.#nodes.filter((node) => all.get(node) === true) : nodes;
  }

  /** JSON types that the value may have; empty where the schema names none. */
  get types(): ReadonlySet<JsonType> {
    return typesOf(this.#typing);
  }

  /** Types of the branches without `enum` and `const`. */
  get openTypes(): ReadonlySet<JsonType> {
    return typesOf(this.#typing.filter((node) => listed(node).length === 0));
  }

  /** Whether `enum` or `const` list this string. */
  lists(text: string): boolean {
    return this.#nodes.some((node) => listed(node).includes(text));
  }

  /** Whether the schema declares a member of this name. */
  declares(key: string): boolean {
    return this.#nodes.some((node) => hasProperty(node["properties"], key));
  }

  /** Whether the schema declares any members. */
  get namesMembers(): boolean {
    return this.#nodes.some(({ properties }) => isJsonObject(properties) && Object.keys(properties).length > 0);
  }

  member(key: string): ArgumentSchema {
    const named = this.#nodes.flatMap(({ properties }) => (hasProperty(properties, key) ? [properties[key]] : []));
    const schemas = named.length > 0 ? named : this.#nodes.map((node) => node["additionalProperties"]);
    return new ArgumentSchema(schemas, this.#root);
  }

  /** The schema of the items of an array. */
  get items(): ArgumentSchema {
    return new ArgumentSchema(
      this.#nodes.map(({ items }) => items),
      this.#root,
    );
  }
}

function typesOf(nodes: readonly JsonObject[]): ReadonlySet<JsonType> {
  const types = new Set<JsonType>();
  for (const node of nodes) {
    const type = node["type"];
    for (const name of Array.isArray(type) ? type : [type]) if (isType(name)) types.add(name);
    if (node["nullable"] === true) types.add("null");
    if (type === undefined) for (const value of listed(node)) types.add(typeOf(value));
  }
  return types;
}

/**
 * The schemas, and all schemas that they refer to or are made of, each once, because references may form a cycle. The value
 * is true for a schema that is not below one with a type.
 */
function branches(schemas: readonly unknown[], root: unknown): ReadonlyMap<JsonObject, boolean> {
  const seen = new Map<JsonObject, boolean>();
  const open = schemas.map((schema) => ({ schema, isFree: true }));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { schema, isFree } = next;
    if (!isJsonObject(schema)) continue;
    const known = seen.get(schema);
    if (known === true || known === isFree) continue;
    seen.set(schema, isFree);
    const isBelowFree = isFree && schema["type"] === undefined;
    for (const branch of branchesOf(schema, root)) open.push({ schema: branch, isFree: isBelowFree });
  }
  return seen;
}

/** The schemas that a schema refers to or is made of. */
function branchesOf(schema: JsonObject, root: unknown): readonly unknown[] {
  const { $ref: reference, anyOf, oneOf, allOf } = schema;
  if (reference === undefined && anyOf === undefined && oneOf === undefined && allOf === undefined) return [];
  const lists = [anyOf, oneOf, allOf].flatMap((list) => (Array.isArray(list) ? list : []));
  return typeof reference === "string" ? [resolve(reference, root), ...lists] : lists;
}

function hasProperty(properties: unknown, key: string): properties is JsonObject {
  return isJsonObject(properties) && Object.hasOwn(properties, key);
}

/** The values that `enum` and `const` list. */
function listed(schema: JsonObject): readonly unknown[] {
  const values = schema["enum"];
  if (Array.isArray(values)) return values;
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

/** `#/$defs/City` within the schema of the tool: a JSON pointer (RFC 6901) in a URI's fragment. */
function resolve(reference: string, root: unknown): unknown {
  if (reference === "#") return root;
  if (!reference.startsWith("#/")) return undefined;
  let at: unknown = root;
  for (const part of reference.slice(2).split("/")) {
    const key = unescape(part);
    if (Array.isArray(at)) at = at[Number(key)];
    else if (hasProperty(at, key)) at = at[key];
    else return undefined;
  }
  return at;
}

function unescape(part: string): string {
  let plain = part;
  try {
    plain = decodeURIComponent(part);
  } catch {
    // The percent sign is not an escape: use the key unchanged.
  }
  return plain.replaceAll("~1", "/").replaceAll("~0", "~");
}
