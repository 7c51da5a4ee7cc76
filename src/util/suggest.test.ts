import { expect, test } from "bun:test";
import { closest } from "./suggest.ts";

const NAMES = ["api_key", "admin_api_key", "port", "admin_port", "queue_size"];

test("a slip is what differs least", () => {
  expect([closest("prot", NAMES), closest("queue_siz", NAMES), closest("something_else", NAMES)]).toEqual([
    "port",
    "queue_size",
    undefined,
  ]);
});

test("a word that was left out comes before another name with fewer letters changed", () => {
  expect([closest("admin_key", NAMES), closest("api_keys", NAMES)]).toEqual(["admin_api_key", "api_key"]);
});

test("a text that is too long for a name is compared with none", () => {
  expect(closest("port".repeat(100_000), NAMES)).toBeUndefined();
});
