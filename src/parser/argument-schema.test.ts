import { expect, test } from "bun:test";
import { ArgumentSchema } from "./argument-schema.ts";

function schema(value: unknown): ArgumentSchema {
  return new ArgumentSchema([value], value);
}

test("types of unions, nullable values and listed ones are put together", () => {
  const of = (property: unknown): string[] => [...schema(property).types].sort();
  expect(of({ type: ["string", "null"] })).toEqual(["null", "string"]);
  expect(of({ anyOf: [{ type: "integer" }, { oneOf: [{ type: "array" }] }], nullable: true })).toEqual([
    "array",
    "integer",
    "null",
  ]);
  expect(of({ enum: ["a", 1, null, true, 1.5, [], {}] })).toEqual([
    "array",
    "boolean",
    "integer",
    "null",
    "number",
    "object",
    "string",
  ]);
  expect(of({ const: "a" })).toEqual(["string"]);
  expect(of("nonsense")).toEqual([]);
});

test("a type beside a union is not widened by it", () => {
  const types = schema({ type: "string", anyOf: [{ type: "string" }, { type: "integer" }] }).types;
  expect([...types]).toEqual(["string"]);
  const shared = {
    $defs: { A: { type: "integer" } },
    anyOf: [{ type: "string", $ref: "#/$defs/A" }, { $ref: "#/$defs/A" }],
  };
  expect([...schema(shared).types].sort()).toEqual(["integer", "string"]);
});

test("a reference is a JSON pointer: escapes, percent signs, arrays, the root", () => {
  const root = {
    properties: {
      slash: { $ref: "#/$defs/a~1b" },
      tilde: { $ref: "#/$defs/a~0b" },
      percent: { $ref: "#/$defs/a%20b" },
      broken: { $ref: "#/$defs/100%" },
      item: { $ref: "#/$defs/list/1" },
      itself: { $ref: "#" },
      nowhere: { $ref: "#/$defs/none" },
      elsewhere: { $ref: "https://example.org/schema" },
    },
    type: "object",
    $defs: {
      "a/b": { type: "string" },
      "a~b": { type: "integer" },
      "a b": { type: "boolean" },
      "100%": { type: "number" },
      list: [{}, { type: "array" }],
    },
  };
  const types = Object.keys(root.properties).map((key) => [key, [...schema(root).member(key).types]]);
  expect(Object.fromEntries(types)).toEqual({
    slash: ["string"],
    tilde: ["integer"],
    percent: ["boolean"],
    broken: ["number"],
    item: ["array"],
    itself: ["object"],
    nowhere: [],
    elsewhere: [],
  });
});

test("arguments may be behind a reference or in parts of a whole", () => {
  const args = schema({
    $ref: "#/$defs/Args",
    allOf: [{ properties: { b: { type: "integer" } } }],
    $defs: { Args: { properties: { a: { type: "string" } } } },
  });
  expect([...args.member("a").types, ...args.member("b").types]).toEqual(["string", "integer"]);
  expect([args.declares("a"), args.declares("b"), args.declares("c"), args.namesMembers]).toEqual([
    true,
    true,
    false,
    true,
  ]);
});

test("a member that is not named is what additionalProperties says", () => {
  const args = schema({ properties: { a: {} }, additionalProperties: { type: "string" } });
  expect([...args.member("b").types]).toEqual(["string"]);
  expect([...args.member("a").types]).toEqual([]);
  expect([...args.member("toString").types]).toEqual(["string"]);
});

test("items of an array have the types that the schema gives them", () => {
  const list = schema({ type: "array", items: { anyOf: [{ type: "string" }, { type: "null" }] } });
  expect([...list.items.types].sort()).toEqual(["null", "string"]);
});

test("references that go round end, and at once", () => {
  const anyOf = Array.from({ length: 200 }, () => ({ $ref: "#/$defs/A" }));
  const root = { $defs: { A: { anyOf: [...anyOf, { type: "string" }] } }, properties: { a: { $ref: "#/$defs/A" } } };
  // Each branch leads to all others. Without a memory of visited branches this would never end.
  expect([...schema(root).member("a").types]).toEqual(["string"]);
});
