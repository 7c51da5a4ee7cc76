import { expect, test } from "bun:test";
import { inspect } from "node:util";
import { Secret } from "./secret.ts";

const secret = new Secret("hunter2");

test("a secret is given out by name only", () => {
  expect([secret.reveal(), secret.bearer()]).toEqual(["hunter2", "Bearer hunter2"]);
});

test("a secret is redacted however it is printed", () => {
  const printed = [String(secret), JSON.stringify({ secret }), inspect({ secret }), Bun.inspect({ secret })];
  for (const text of printed) {
    expect(text).toContain("[redacted]");
    expect(text).not.toContain("hunter2");
  }
  expect(Object.values(secret)).toEqual([]);
});
