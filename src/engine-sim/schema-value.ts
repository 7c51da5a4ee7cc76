import { isJsonObject, type JsonObject, numberField, objectField, stringField } from "../protocol/json/json.ts";

/** The value of a string whose schema asks for nothing in particular. */
const TEXT = "Crewe Junction";
/** From this depth on optional members are left out, as a schema may contain itself. */
const SPARE_DEPTH = 5;
/** Values at a greater depth are null: a schema that requires itself has no end. */
const MAX_DEPTH = 24;
/** A value with so many values in it gets no further optional members. */
const MAX_VALUES = 2000;
const MAX_ITEMS = 100;

/**
 * Makes a value that a JSON schema (draft 2020-12, as structured output uses it) allows: the same one each time, with its
 * optional members, as a model would give them. `not`, `if` and references to other documents are not followed, and a
 * `pattern` is met only where one of a few texts matches it.
 */
export function schemaValue(schema: unknown): unknown {
  return new Generator(schema).value(schema, 0, 0);
}

class Generator {
  readonly #root: unknown;
  #values = 0;

  constructor(root: unknown) {
    this.#root = root;
  }

  /** A value of the schema `given`. Each `variant` makes another value, so that the items of a list differ. */
  value(given: unknown, depth: number, variant: number): unknown {
    this.#values += 1;
    const schema = this.#resolved(given);
    if (depth > MAX_DEPTH) return null;
    if ("const" in schema) return schema["const"];
    const options = schema["enum"];
    if (Array.isArray(options) && options.length > 0) return options[variant % options.length];
    const branch = this.#branch(schema, depth);
    if (branch) return this.value(branch, depth + 1, variant);
    switch (this.#typeOf(schema, depth)) {
      case "null":
        return null;
      case "boolean":
        return variant % 2 === 0;
      case "integer":
        return numberOf(schema, 1, variant);
      case "number":
        return numberOf(schema, 0, variant);
      case "array":
        return this.#array(schema, depth);
      case "object":
        return this.#object(schema, depth);
      default:
        return textOf(schema, variant);
    }
  }

  #isSpare(depth: number): boolean {
    return depth >= SPARE_DEPTH || this.#values > MAX_VALUES;
  }

  /** The schema together with the schemas that its `$ref` and `allOf` name. */
  #resolved(given: unknown, hops = 0): JsonObject {
    if (!isJsonObject(given)) return {};
    const { $ref: reference, allOf: parts, ...own } = given;
    if (hops > MAX_DEPTH) return own;
    let schema: JsonObject = own;
    if (typeof reference === "string") schema = merged(this.#resolved(this.#at(reference), hops + 1), schema);
    if (Array.isArray(parts)) {
      for (const part of parts) schema = merged(schema, this.#resolved(part, hops + 1));
    }
    return schema;
  }

  /** The part of the document that a JSON pointer (RFC 6901) names. */
  #at(reference: string): unknown {
    if (!reference.startsWith("#")) return undefined;
    let value = this.#root;
    for (const part of reference.slice(1).split("/").slice(1)) {
      const key = decoded(part).replaceAll("~1", "/").replaceAll("~0", "~");
      if (Array.isArray(value)) value = value[Number(key)];
      else value = isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
    }
    return value;
  }

  /** The schema with one of its alternatives: the first that is not null, or from SPARE_DEPTH on the first that holds no other values. */
  #branch(schema: JsonObject, depth: number): JsonObject | undefined {
    const { anyOf, oneOf, ...own } = schema;
    const branches = Array.isArray(anyOf) ? anyOf : oneOf;
    if (!Array.isArray(branches) || branches.length === 0) return undefined;
    const resolved = branches.map((branch) => this.#resolved(branch));
    const wanted = this.#isSpare(depth)
      ? resolved.find((branch) => !isNested(branch))
      : resolved.find((branch) => branch["type"] !== "null");
    const rest = Array.isArray(anyOf) && Array.isArray(oneOf) ? { ...own, oneOf } : own;
    return merged(rest, wanted ?? resolved[0] ?? {});
  }

  #typeOf(schema: JsonObject, depth: number): string {
    const { type } = schema;
    if (typeof type === "string") return type;
    if (Array.isArray(type)) {
      const isSpare = this.#isSpare(depth) && type.includes("null");
      return String((isSpare ? "null" : type.find((one) => one !== "null")) ?? "null");
    }
    if ("properties" in schema || "required" in schema || "additionalProperties" in schema) return "object";
    if ("items" in schema || "prefixItems" in schema) return "array";
    return "minimum" in schema || "maximum" in schema || "multipleOf" in schema ? "number" : "string";
  }

  #object(schema: JsonObject, depth: number): JsonObject {
    const properties = objectField(schema, "properties") ?? {};
    const required = new Set(Array.isArray(schema["required"]) ? schema["required"] : []);
    const members = new Map<string, unknown>();
    for (const [name, property] of Object.entries(properties)) {
      if (property === false || (!required.has(name) && this.#isSpare(depth))) continue;
      members.set(name, this.value(property, depth + 1, 0));
    }
    for (const name of required) {
      const others = schema["additionalProperties"];
      if (typeof name === "string" && !members.has(name)) members.set(name, this.value(others, depth + 1, 0));
    }
    const least = Math.min(numberField(schema, "minProperties") ?? 0, MAX_ITEMS);
    for (let index = 1; members.size < least; index += 1) {
      members.set(`key${index}`, this.value(schema["additionalProperties"], depth + 1, index));
    }
    return Object.fromEntries(members);
  }

  #array(schema: JsonObject, depth: number): readonly unknown[] {
    const { prefixItems, items } = schema;
    const first: readonly unknown[] = Array.isArray(prefixItems) ? prefixItems : [];
    const least = numberField(schema, "minItems") ?? 0;
    const most = numberField(schema, "maxItems") ?? Number.POSITIVE_INFINITY;
    const usual = this.#isSpare(depth) ? 0 : Math.max(first.length, isJsonObject(items) ? 1 : 0);
    const length = Math.min(Math.max(least, usual), most, MAX_ITEMS);
    return Array.from({ length }, (_, index) => this.value(first[index] ?? items, depth + 1, index));
  }
}

/** Both must hold: members of both, and of the rest what comes later. */
function merged(one: JsonObject, other: JsonObject): JsonObject {
  const properties = { ...objectField(one, "properties"), ...objectField(other, "properties") };
  const required = [one["required"], other["required"]].flatMap((names) => (Array.isArray(names) ? names : []));
  return {
    ...one,
    ...other,
    ...(Object.keys(properties).length > 0 ? { properties } : {}),
    ...(required.length > 0 ? { required } : {}),
  };
}

/** May contain itself. */
function isNested(schema: JsonObject): boolean {
  const { type } = schema;
  const isStructure = type === "object" || (type === "array" && (numberField(schema, "minItems") ?? 0) > 0);
  return isStructure || "properties" in schema || "anyOf" in schema || "oneOf" in schema;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // A stray % means itself.
    return part;
  }
}

/** From the lower bound on, one more for each variant; `grain` is 1 for whole numbers. */
function numberOf(schema: JsonObject, grain: number, variant: number): number {
  const step = numberField(schema, "multipleOf") ?? (grain || 0.5);
  const above = numberField(schema, "exclusiveMinimum");
  const below = numberField(schema, "exclusiveMaximum");
  const least = numberField(schema, "minimum") ?? above;
  const most = numberField(schema, "maximum") ?? below;
  let value = Math.ceil((least ?? 1) / step) * step;
  if (above !== undefined && value <= above) value += step;
  value += variant * step;
  const isTooMuch = (most !== undefined && value > most) || (below !== undefined && value >= below);
  if (!isTooMuch || most === undefined) return value;
  const last = Math.floor(most / step) * step;
  if (least === undefined || last >= least) return below !== undefined && last >= below ? last - step : last;
  // Between bounds that are closer than a step.
  return (least + most) / 2;
}

/** Texts of the formats that JSON schemas name. */
const FORMATS: ReadonlyMap<string, string> = new Map([
  ["date-time", "2026-01-31T12:00:00Z"],
  ["date", "2026-01-31"],
  ["time", "12:00:00Z"],
  ["duration", "PT1H"],
  ["email", "signal@crewe.example"],
  ["idn-email", "signal@crewe.example"],
  ["hostname", "crewe.example"],
  ["ipv4", "192.0.2.1"],
  ["ipv6", "2001:db8::1"],
  ["uri", "https://crewe.example/"],
  ["uri-reference", "https://crewe.example/"],
  ["url", "https://crewe.example/"],
  ["uuid", "6f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9"],
  ["regex", ".*"],
  ["json-pointer", "/crewe"],
]);

/** What patterns in schemas are mostly about: words, codes, numbers, dates, addresses. */
const CANDIDATES = [TEXT, "crewe", "Crewe", "CREWE", "crewe_junction", "crewe-junction", "CRE", "CW", "C1", "CW1 1AA"];
const NUMERALS = ["1", "12", "123", "1234", "12345", "123456", "1.0", "1.0.0", "+441270000000", "555-0100", "#00aa00"];

function textOf(schema: JsonObject, variant: number): string {
  const least = Math.min(numberField(schema, "minLength") ?? 0, 100_000);
  const most = numberField(schema, "maxLength") ?? Number.POSITIVE_INFINITY;
  const format = FORMATS.get(stringField(schema, "format") ?? "");
  if (format !== undefined) return format;
  const pattern = patternOf(schema);
  if (pattern) {
    const all = [...CANDIDATES, ...NUMERALS, ...FORMATS.values()];
    const fitting = all.filter((text) => text.length >= least && text.length <= most && pattern.test(text));
    if (fitting.length > 0) return fitting[variant % fitting.length] ?? TEXT;
  }
  const text = variant === 0 ? TEXT : `${TEXT} ${variant}`;
  return text.padEnd(least, ".").slice(0, most);
}

function patternOf(schema: JsonObject): RegExp | undefined {
  const pattern = stringField(schema, "pattern");
  if (pattern === undefined) return undefined;
  try {
    return new RegExp(pattern, "u");
  } catch {
    // A pattern of another dialect is met by chance only.
    return undefined;
  }
}
