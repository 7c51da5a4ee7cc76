import { expect, test } from "bun:test";
import { canonical, parseExact } from "./exact-json.ts";

test("a room of 63 bits keeps its last digit", () => {
  expect(parseExact('{"bootstrap_room":9223372036854775807}')["bootstrap_room"]).toBe(9223372036854775807n);
});

test("order and spaces do not matter, how a number is written does", () => {
  const text = canonical(parseExact('{"b": [1, null, "ü"], "a": {"x": true}}'));
  expect(text).toBe('{"a":{"x":true},"b":[1,null,"ü"]}');
  expect(canonical(parseExact('{"a":{"x":true},"b":[1,null,"\\u00fc"]}'))).toBe(text);
  expect(canonical(parseExact('{"lease":1.0}'))).toBe('{"lease":1.0}');
  expect(canonical(parseExact('{"lease":1.0}'))).not.toBe(canonical(parseExact('{"lease":1}')));
});

test("what is no object is an empty one", () => {
  expect(parseExact("[1]")).toEqual({});
});
