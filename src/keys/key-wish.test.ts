import { expect, test } from "bun:test";
import { GatewayError } from "../errors/errors.ts";
import { changedKeySchema, newKeySchema, readWish, rotationSchema } from "./key-wish.ts";

type Schema = Parameters<typeof readWish>[0];

/** What is said of a wish, and of which member. */
function refusal(schema: Schema, value: unknown): [message: string, param: unknown] {
  try {
    readWish(schema, value);
  } catch (error) {
    if (error instanceof GatewayError) return [error.message, error.details.param];
  }
  return ["", undefined];
}

test("a wish that cannot be had is refused in words for people, with the member that is wrong", () => {
  const cases: [schema: Schema, wish: unknown, message: string, param: string | undefined][] = [
    [newKeySchema, {}, "name is missing", "name"],
    [newKeySchema, { name: "" }, 'name must be a text of 1 to 256 characters, not ""', "name"],
    [newKeySchema, { name: "a\nb" }, "name must be one line of text", "name"],
    [newKeySchema, { name: "a", nmae: "b" }, "unknown key nmae", "nmae"],
    [newKeySchema, [], "the body must be a mapping of options, not a list", undefined],
    [
      changedKeySchema,
      { roles: ["client", "root"] },
      'roles.1 must be one of client, viewer, operator, admin, not "root"',
      "roles.1",
    ],
    [
      changedKeySchema,
      { requests_per_minute: 0 },
      "requests_per_minute must be a whole number from 1 to 100000000, not 0",
      "requests_per_minute",
    ],
    [
      changedKeySchema,
      { expires_at: "tomorrow" },
      "expires_at must be a time such as 2027-01-31T00:00:00Z",
      "expires_at",
    ],
    [rotationSchema, { grace_secs: -1 }, "grace_secs must be a number from 0 to 7776000, not -1", "grace_secs"],
  ];
  for (const [schema, wish, message, param] of cases) expect(refusal(schema, wish)).toEqual([message, param]);
});
