import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { z } from "zod";
import { schemaValue } from "./schema-value.ts";

const tree: z.ZodType = z.object({ name: z.string(), children: z.array(z.lazy(() => tree)) });
const list: z.ZodType = z.object({ value: z.int(), next: z.nullable(z.lazy(() => list)) });

/** Schemas as SDKs make them of a program's types. */
const CASES: readonly (readonly [name: string, type: z.ZodType])[] = [
  [
    "an object with every kind of member",
    z.object({ a: z.string(), b: z.number(), c: z.int(), d: z.boolean(), e: z.null() }),
  ],
  [
    "optional and nullable members",
    z.object({ a: z.string().optional(), b: z.string().nullable(), c: z.number().nullish() }),
  ],
  ["enums and constants", z.object({ kind: z.literal("train"), size: z.enum(["s", "m"]), one: z.literal([1, 2]) })],
  [
    "lists with bounds",
    z.object({ a: z.array(z.int()).min(3).max(4), b: z.array(z.string()).max(0), c: z.array(z.array(z.boolean())) }),
  ],
  ["tuples", z.tuple([z.string(), z.int(), z.object({ a: z.boolean() })])],
  [
    "numbers with bounds",
    z.object({
      a: z.int().min(7).max(7),
      b: z.number().gt(0).lt(1),
      c: z.int().multipleOf(5).min(11),
      d: z.number().max(-3),
      e: z.int().gt(4).lt(6),
    }),
  ],
  ["texts with bounds", z.object({ a: z.string().min(40), b: z.string().max(3), c: z.string().length(5) })],
  [
    "texts with a format",
    z.object({ a: z.email(), b: z.uuid(), c: z.iso.datetime(), d: z.iso.date(), e: z.ipv4(), f: z.url() }),
  ],
  [
    "texts with a pattern",
    z.object({ a: z.string().regex(/^[a-z_]+$/), b: z.string().regex(/^\d{3}$/), c: z.string().regex(/^[A-Z]{3}$/) }),
  ],
  [
    "alternatives",
    z.object({
      a: z.union([z.int(), z.string()]),
      b: z.discriminatedUnion("t", [z.object({ t: z.literal("x"), v: z.int() }), z.object({ t: z.literal("y") })]),
    }),
  ],
  ["intersections", z.object({ both: z.intersection(z.object({ a: z.string() }), z.object({ b: z.int() })) })],
  ["maps", z.object({ scores: z.record(z.string(), z.int()) })],
  ["trees", tree],
  ["lists that are linked", list],
  ["a list of objects at the root", z.array(z.object({ a: z.int() }))],
];

describe("a value of a schema", () => {
  test.each(CASES)("is one that the type takes: %s", (_name, type) => {
    for (const reused of ["inline", "ref"] as const) {
      const value = schemaValue(z.toJSONSchema(type, { reused, unrepresentable: "any" }));
      expect(type.safeParse(JSON.parse(JSON.stringify(value))).error).toBeUndefined();
    }
  });

  test("is always the same", () => {
    for (const [, type] of CASES) {
      const schema = z.toJSONSchema(type);
      expect(JSON.stringify(schemaValue(schema))).toBe(JSON.stringify(schemaValue(schema)));
    }
  });

  test("has the optional members as well, and those that are required without being described", () => {
    expect(schemaValue({ type: "object", properties: { place: { type: "string" } } })).toEqual({
      place: "Crewe Junction",
    });
    expect(schemaValue({ type: "object", required: ["a", "b"], properties: { a: { type: "integer" } } })).toEqual({
      a: 1,
      b: "Crewe Junction",
    });
    expect(schemaValue({ type: "object" })).toEqual({});
  });

  test("follows references with escapes, and those within alternatives beside other members", () => {
    const schema = {
      $defs: { "a/b": { type: "integer", minimum: 4 }, "c~d e": { const: "found" } },
      properties: {
        one: { $ref: "#/$defs/a~1b", description: "beside" },
        two: { anyOf: [{ $ref: "#/$defs/c~0d%20e" }, { type: "null" }] },
      },
      required: ["one", "two"],
    };
    expect(schemaValue(schema)).toEqual({ one: 4, two: "found" });
  });

  test("keeps what stands beside alternatives, and takes what is not null of several types", () => {
    const inner = { $defs: { a: { properties: { x: { type: "boolean" } }, required: ["x"] } } };
    expect(schemaValue({ ...inner, type: "object", anyOf: [{ $ref: "#/$defs/a" }] })).toEqual({ x: true });
    const beside = { properties: { base: { type: "integer" } }, required: ["base"] };
    expect(schemaValue({ ...beside, oneOf: [{ required: ["k"], properties: { k: { const: 2 } } }] })).toEqual({
      base: 1,
      k: 2,
    });
    expect(schemaValue({ type: ["null", "object"], ...beside })).toEqual({ base: 1 });
  });

  test("has items that differ where the list wants each once", () => {
    const items = { type: "string" };
    const value = schemaValue({ type: "array", items, minItems: 4, uniqueItems: true });
    expect(Array.isArray(value) && new Set(value).size).toBe(4);
  });

  test("ends where the schema does not", () => {
    const endless = {
      $defs: { a: { type: "object", properties: { a: { $ref: "#/$defs/a" } }, required: ["a"] } },
      $ref: "#/$defs/a",
    };
    expect(JSON.stringify(schemaValue(endless)).length).toBeLessThan(1000);
    expect(schemaValue({ $ref: "#" })).toBe("Crewe Junction");
    expect(schemaValue({ allOf: [{ $ref: "#" }] })).toBe("Crewe Junction");
    const wide = {
      $defs: {
        a: {
          type: "object",
          properties: Object.fromEntries(
            Array.from({ length: 50 }, (_, index) => [`p${index}`, { $ref: "#/$defs/a" }]),
          ),
        },
      },
      $ref: "#/$defs/a",
    };
    expect(JSON.stringify(schemaValue(wide)).length).toBeLessThan(1_000_000);
    expect(
      JSON.stringify(schemaValue({ type: "array", items: { type: "array", items: {}, minItems: 1e9 }, minItems: 1e9 }))
        .length,
    ).toBeLessThan(1_000_000);
  });

  test("is JSON, whatever is taken for a schema", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (schema) => {
        const text = JSON.stringify(schemaValue(schema));
        return typeof text === "string" && JSON.parse(text) !== undefined;
      }),
      { numRuns: 500 },
    );
  });
});
