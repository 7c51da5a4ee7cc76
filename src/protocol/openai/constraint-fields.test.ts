import { describe, expect, test } from "bun:test";
import type { Constraint } from "../generation.ts";
import { JsonFields } from "../json/json-fields.ts";
import type { JsonObject } from "../json/json.ts";
import { readConstraint } from "./constraint-fields.ts";

const read = (json: JsonObject): Constraint | undefined => readConstraint(new JsonFields(json, ""));

const SCHEMA = { type: "object" };
const TEXT = '{"type":"object"}';

describe("a schema", () => {
  const bodies: readonly JsonObject[] = [
    { response_format: { type: "json_schema", json_schema: { name: "s", schema: SCHEMA } } },
    { json_schema: TEXT },
    { json_schema: SCHEMA },
    { guided_json: SCHEMA },
    { structured_outputs: { json: TEXT } },
  ];
  for (const body of bodies) {
    test(JSON.stringify(body), () => expect(read(body)).toEqual({ kind: "json_schema", schema: TEXT }));
  }
});

describe("other constraints", () => {
  const cases: readonly (readonly [body: JsonObject, constraint: Constraint])[] = [
    [{ response_format: { type: "json_object" } }, { kind: "json_object" }],
    [{ guided_json_object: true }, { kind: "json_object" }],
    [{ structured_outputs: { json_object: true } }, { kind: "json_object" }],
    [{ regex: "a+" }, { kind: "regex", pattern: "a+" }],
    [{ guided_regex: "a+" }, { kind: "regex", pattern: "a+" }],
    [{ ebnf: "root ::= x" }, { kind: "ebnf", grammar: "root ::= x" }],
    [{ structured_outputs: { grammar: "root ::= x" } }, { kind: "ebnf", grammar: "root ::= x" }],
    [{ guided_choice: ["yes", "no"] }, { kind: "choice", choices: ["yes", "no"] }],
    [{ structural_tag: { begin: "<a>" } }, { kind: "structural_tag", tag: '{"begin":"<a>"}' }],
    [
      { response_format: { type: "structural_tag", format: {} } },
      { kind: "structural_tag", tag: '{"type":"structural_tag","format":{}}' },
    ],
  ];
  for (const [body, constraint] of cases) test(JSON.stringify(body), () => expect(read(body)).toEqual(constraint));
});

describe("no constraint", () => {
  const bodies: readonly JsonObject[] = [
    {},
    { response_format: null },
    { response_format: { type: "text" } },
    { guided_json_object: false },
    { structured_outputs: {} },
  ];
  for (const body of bodies) test(JSON.stringify(body), () => expect(read(body)).toBeUndefined());
});

describe("a request is refused", () => {
  const cases: readonly (readonly [body: JsonObject, message: string])[] = [
    [{ regex: "a", ebnf: "b" }, "ebnf cannot be combined with regex: only one constraint is possible"],
    [
      { response_format: { type: "json_object" }, structured_outputs: { regex: "a" } },
      "structured_outputs.regex cannot be combined with response_format: only one constraint is possible",
    ],
    [
      { response_format: { type: "xml" } },
      "response_format.type must be one of text, json_object, json_schema, structural_tag",
    ],
    [{ response_format: {} }, "response_format.type must be a string"],
    [{ response_format: { type: "json_schema" } }, "response_format.json_schema must be an object"],
    [
      { response_format: { type: "json_schema", json_schema: {} } },
      "response_format.json_schema.schema must be a JSON schema",
    ],
    [{ json_schema: "no JSON" }, "json_schema must be a JSON schema"],
    [{ guided_choice: [] }, "guided_choice must have at least one entry"],
    [{ regex: "" }, "regex must be a non-empty string"],
  ];
  for (const [body, message] of cases) test(message, () => expect(() => read(body)).toThrow(message));
});
