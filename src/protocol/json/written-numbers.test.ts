import { expect, test } from "bun:test";
import { readJsonBody } from "./json-body.ts";
import { bodyWithNumbers, parseWithNumbers, writtenNumbers } from "./written-numbers.ts";

/** Every object and list of a value. */
function holders(value: unknown): object[] {
  if (typeof value !== "object" || value === null) return [];
  return [value, ...Object.values(value).flatMap(holders)];
}

test("numbers that JavaScript would write otherwise keep their text, and the value is that of JSON.parse", () => {
  const text =
    '{"a": 1.0, "b": [12345678901234567890, 3, 1E5], "c": {"d": -0, "e": 0.1, "f": "x: 1.0"}, "g": 1.50, "h": null}';
  const value = parseWithNumbers(text);
  expect(JSON.stringify(value)).toBe(JSON.stringify(JSON.parse(text)));
  expect(holders(value).map((holder) => writtenNumbers(holder))).toEqual([
    { a: "1.0", g: "1.50" },
    { 0: "12345678901234567890", 2: "1E5" },
    { d: "-0" },
  ]);
});

test("copies keep them", () => {
  const value = parseWithNumbers('{"a": 1.0}');
  expect(writtenNumbers({ ...Object(value), b: 2 })).toEqual({ a: "1.0" });
});

test("of a body those are known that a template may write out", async () => {
  const call = '{"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1.0}}';
  const text = `{"temperature": 1.0, "tools": [{"x": 2.0}], "messages": [{"role": "assistant", "content": [${call}]}]}`;
  const body = await readJsonBody(Buffer.from(text));
  const value = bodyWithNumbers(body);
  expect(JSON.stringify(value)).toBe(JSON.stringify(JSON.parse(text)));
  expect(
    holders(value).flatMap((holder) => [writtenNumbers(holder)].filter((written) => written !== undefined)),
  ).toEqual([{ x: "2.0" }, { a: "1.0" }]);
});

test("a text without such numbers has none, also where a string looks like one", () => {
  for (const text of ['{"a": 1, "b": [2, -3, 4.5, 0, 0.7, 100, 1234567890123]}', '["see: 1.0, and 2.50"]']) {
    expect(holders(parseWithNumbers(text)).every((holder) => writtenNumbers(holder) === undefined)).toBe(true);
  }
});
