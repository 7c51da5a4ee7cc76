import { expect, test } from "bun:test";
import { JsonFields } from "../json/json-fields.ts";
import { readCallArguments } from "./call-arguments.ts";

function readAll(texts: readonly string[]): unknown {
  const calls = texts.map((text) => ({ arguments: text }));
  return new JsonFields({ calls }, "").objects("calls")?.map(readCallArguments);
}

test("the arguments of all calls of a request are bounded together, before any of them is parsed", () => {
  const megabyte = JSON.stringify({ text: "x".repeat(1_000_000) });
  expect(readAll([megabyte, megabyte, megabyte, megabyte])).toEqual([megabyte, megabyte, megabyte, megabyte]);
  const told = "is too long: a request may have 4194304 characters of arguments in all";
  expect(() => readAll(Array.from({ length: 5 }, () => megabyte))).toThrow(`calls[4].arguments ${told}`);
  expect(() => readAll(["{".repeat(5_000_000)])).toThrow(`calls[0].arguments ${told}`);
});
