import { expect, test } from "bun:test";
import { ByServerName } from "./server-names.ts";

const found = new ByServerName([
  { names: ["example.com", "*.example.com"], value: undefined },
  { names: ["Models.Example.com", "*.models.example.com", "example.com"], value: "models" },
  { names: ["*.models.example.com", "other.org"], value: "other" },
]);

test.each([
  ["models.example.com", "models"],
  ["MODELS.example.COM", "models"],
  ["eu.models.example.com", "models"],
  ["other.org", "other"],
])("%s is found, whatever the case of its letters; of several the first counts", (name, value) => {
  expect(found.find(name)).toBe(value);
});

test.each([
  ["example.com", "its first entry has no value"],
  ["www.example.com", "the wildcard that is for it has none"],
  ["a.eu.models.example.com", "a wildcard is for one label"],
  [".models.example.com", "there must be a label"],
  ["org", "nothing is for it"],
  ["", "there is none"],
])("%s is not: %s", (name) => {
  expect(found.find(name)).toBeUndefined();
});
