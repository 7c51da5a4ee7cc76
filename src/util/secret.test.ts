import { expect, test } from "bun:test";
import { inspect } from "node:util";
import { Secret } from "./secret.ts";

test("a secret says its value to who asks for it, and to nobody who prints it", () => {
  const secret = new Secret("hush");
  expect([secret.reveal(), secret.bearer()]).toEqual(["hush", "Bearer hush"]);
  const printed = [String(secret), JSON.stringify({ secret }), inspect(secret), inspect({ deep: { secret } })];
  for (const text of printed) expect(text).not.toContain("hush");
});
