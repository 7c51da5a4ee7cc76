import { expect, test } from "bun:test";
import { memoryLimitBytes } from "./memory-limit.ts";

const with2 = (text: string): number | undefined =>
  memoryLimitBytes((path) => (path.endsWith("memory.max") ? text : ""));
const with1 = (text: string): number | undefined =>
  memoryLimitBytes((path) => (path.endsWith("limit_in_bytes") ? text : ""));

test("the limit of a container is read in either version of control groups", () => {
  expect([with2("268435456"), with1("268435456")]).toEqual([268_435_456, 268_435_456]);
});

test("no limit is told in several ways", () => {
  expect([with2("max"), with1("9223372036854771712"), with2(""), memoryLimitBytes(() => "")]).toEqual(
    Array.from({ length: 4 }, () => undefined),
  );
});
