import type { JsonFields } from "../json/json-fields.ts";
import type { Constraint } from "../generation.ts";
import { isJsonObject, jsonObjectOf } from "../json/json.ts";

interface Asked {
  /** Path of the member that asks for it. */
  readonly fields: JsonFields;
  readonly name: string;
  readonly constraint: Constraint;
}

/**
 * Reads the constraint on the text, which OpenAI's API writes as `response_format`, vLLM as `structured_outputs` or `guided_*`,
 * and SGLang as `regex`, `ebnf`, `json_schema` or `structural_tag`. Throws invalid_request where a request has two constraints.
 */
export function readConstraint(fields: JsonFields): Constraint | undefined {
  const structured = fields.object("structured_outputs");
  const asked = [
    ...one(fields, "response_format", readResponseFormat(fields)),
    ...readMembers(fields, PLAIN),
    ...readMembers(fields, GUIDED),
    ...(structured ? readMembers(structured, STRUCTURED) : []),
  ];
  const [first, second] = asked;
  if (first && second) {
    const other = first.fields.at(first.name);
    throw second.fields.error(second.name, `cannot be combined with ${other}: only one constraint is possible`);
  }
  return first?.constraint;
}

type Reader = (fields: JsonFields, name: string) => Constraint | undefined;

const PLAIN: readonly [name: string, read: Reader][] = [
  ["json_schema", readSchema],
  ["regex", readRegex],
  ["ebnf", readGrammar],
  ["structural_tag", readTag],
];
const GUIDED: readonly [name: string, read: Reader][] = [
  ["guided_json", readSchema],
  ["guided_regex", readRegex],
  ["guided_choice", readChoice],
  ["guided_grammar", readGrammar],
  ["guided_json_object", readAnyObject],
];
const STRUCTURED: readonly [name: string, read: Reader][] = [
  ["json", readSchema],
  ["regex", readRegex],
  ["choice", readChoice],
  ["grammar", readGrammar],
  ["json_object", readAnyObject],
  ["structural_tag", readTag],
];

function readMembers(fields: JsonFields, readers: readonly [name: string, read: Reader][]): Asked[] {
  return readers.flatMap(([name, read]) => one(fields, name, read(fields, name)));
}

function one(fields: JsonFields, name: string, constraint: Constraint | undefined): Asked[] {
  return constraint ? [{ fields, name, constraint }] : [];
}

function readResponseFormat(fields: JsonFields): Constraint | undefined {
  const format = fields.object("response_format");
  switch (format?.oneOf("type", ["text", "json_object", "json_schema", "structural_tag"])) {
    case "json_object":
      return { kind: "json_object" };
    case "json_schema": {
      const named = format?.object("json_schema");
      if (!named) throw fields.error("response_format.json_schema", "must be an object");
      return requiredSchema(named, "schema");
    }
    case "structural_tag":
      return { kind: "structural_tag", tag: JSON.stringify(format?.json) };
    case "text":
      return undefined;
    case undefined:
      if (format) throw format.error("type", "must be a string");
      return undefined;
  }
}

/** Reads a schema. Throws invalid_request where it is absent. */
export function requiredSchema(fields: JsonFields, name: string): Constraint {
  const constraint = readSchema(fields, name);
  if (!constraint) throw fields.error(name, "must be a JSON schema");
  return constraint;
}

/** A schema that is an object or the JSON text of one. */
function readSchema(fields: JsonFields, name: string): Constraint | undefined {
  const schema = jsonText(fields, name, "must be a JSON schema");
  return schema === undefined ? undefined : { kind: "json_schema", schema };
}

function readTag(fields: JsonFields, name: string): Constraint | undefined {
  const tag = jsonText(fields, name, "must be a structural tag");
  return tag === undefined ? undefined : { kind: "structural_tag", tag };
}

function jsonText(fields: JsonFields, name: string, what: string): string | undefined {
  const value = fields.value(name);
  if (value === undefined) return undefined;
  if (isJsonObject(value)) return JSON.stringify(value);
  if (typeof value !== "string" || !jsonObjectOf(value)) throw fields.error(name, what);
  return value;
}

function readRegex(fields: JsonFields, name: string): Constraint | undefined {
  return fields.has(name) ? { kind: "regex", pattern: fields.requiredString(name) } : undefined;
}

function readGrammar(fields: JsonFields, name: string): Constraint | undefined {
  return fields.has(name) ? { kind: "ebnf", grammar: fields.requiredString(name) } : undefined;
}

function readChoice(fields: JsonFields, name: string): Constraint | undefined {
  const choices = fields.strings(name);
  if (choices?.length === 0) throw fields.error(name, "must have at least one entry");
  return choices && { kind: "choice", choices };
}

function readAnyObject(fields: JsonFields, name: string): Constraint | undefined {
  return fields.boolean(name) === true ? { kind: "json_object" } : undefined;
}
