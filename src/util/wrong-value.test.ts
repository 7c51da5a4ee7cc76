import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { typeAt, wrongValueText } from "./wrong-value.ts";

const schema = z.strictObject({
  count: z.int().min(1).max(9).nullable(),
  share: z.number().positive().max(1),
  roles: z
    .array(z.enum(["a", "b"]))
    .min(1)
    .max(2),
  name: z.string().min(1).max(3),
  on: z.boolean().default(false),
});

function texts(value: unknown): string[] {
  const issues = schema.partial().safeParse(value).error?.issues ?? [];
  return issues.map((issue) => `${issue.path.join(".")} ${wrongValueText(issue, schema, value)}`);
}

describe("a wrong value is told in words for people", () => {
  test("with what it must be, and what it is", () => {
    expect(texts({ count: 0, share: 2, roles: ["root"], name: "", on: "yes" })).toEqual([
      "count must be a whole number from 1 to 9, not 0",
      "share must be a number above 0 and at most 1, not 2",
      'roles.0 must be one of a, b, not "root"',
      'name must be a text of 1 to 3 characters, not ""',
      'on must be true or false, not "yes"',
    ]);
  });

  test("of whatever type it is, and also where JSON could not say it", () => {
    const cases: [value: unknown, said: string][] = [
      ["7", '"7"'],
      [Number.POSITIVE_INFINITY, "Infinity"],
      [{}, "a mapping"],
      [[1], "a list"],
    ];
    for (const [value, said] of cases) {
      expect(texts({ count: value })).toEqual([`count must be a whole number from 1 to 9, not ${said}`]);
    }
  });
});

test("names that every object has are no members of a schema", () => {
  for (const name of Object.getOwnPropertyNames(Object.prototype)) expect(typeAt(schema, [name])).toBeUndefined();
});
