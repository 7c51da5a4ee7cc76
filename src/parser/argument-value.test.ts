import { expect, test } from "bun:test";
import { ArgumentSchema } from "./argument-schema.ts";
import { argumentJson } from "./argument-value.ts";

function read(text: string, schema: unknown): string {
  return argumentJson(text, new ArgumentSchema([schema], schema));
}

test("a string keeps its quotes", () => {
  expect(read('"x"', { type: "string" })).toBe('"\\"x\\""');
  expect(read('"x"', { type: ["string", "null"] })).toBe('"\\"x\\""');
});

test("among several types quotes tell a string from what it would else be read as", () => {
  expect(read('"null"', { type: ["string", "null"] })).toBe('"null"');
  expect(read('"7"', { type: ["string", "integer"] })).toBe('"7"');
  expect(read('"7"', { type: ["string", "null"] })).toBe('"\\"7\\""');
  expect(read("null", { type: ["string", "null"] })).toBe("null");
});

test("a text that the schema lists as a string is one", () => {
  expect(read("7", { enum: ["7", 8] })).toBe('"7"');
  expect(read("8", { enum: ["7", 8] })).toBe("8");
  expect(read("true", { anyOf: [{ const: "true" }, { const: 1 }] })).toBe('"true"');
  // Both branches fit, and the other one takes any value.
  expect(read("null", { anyOf: [{ const: "null" }, { type: "null" }] })).toBe("null");
});

test("numbers are as JSON has them, in Python's form only where a number is wanted", () => {
  expect(["123_456", ".5", "+5", "1.", "007"].map((text) => read(text, {}))).toEqual([
    '"123_456"',
    '".5"',
    '"+5"',
    '"1."',
    '"007"',
  ]);
  expect(read("123_456", { type: "integer" })).toBe("123456");
  expect(read(".5", { type: "number" })).toBe("0.5");
  expect(read("12345678901234567890", {})).toBe("12345678901234567890");
  expect(read("[1_000, None]", {})).toBe("[1000,null]");
});
