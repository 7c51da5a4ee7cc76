import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseInSteps } from "./parse-in-steps.ts";
import { parseWithNumbers, writtenNumbers } from "./written-numbers.ts";

const parse = (text: string, stepBytes?: number, check = (): void => undefined): Promise<unknown> =>
  parseInSteps(Buffer.from(text), check, stepBytes);

/** The texts of all numbers that were written in a way of their own. */
function written(value: unknown): unknown[] {
  if (typeof value !== "object" || value === null) return [];
  return [{ ...writtenNumbers(value) }, ...Object.values(value).flatMap(written)];
}

describe("JSON that is parsed in steps", () => {
  test("is what JSON.parse makes of it, however small the steps and wherever white space stands", async () => {
    const value = fc.jsonValue({ maxDepth: 6, stringUnit: "binary" });
    const space = fc.constantFrom("", "  ", "\t", "\n");
    await fc.assert(
      fc.asyncProperty(value, space, fc.integer({ min: 1, max: 40 }), async (json, indent, stepBytes) => {
        const text = JSON.stringify(json, undefined, indent) ?? "null";
        expect(await parse(text, stepBytes)).toEqual(JSON.parse(text));
      }),
      { numRuns: 200 },
    );
  });

  test("cuts long strings neither within an escape nor within a character", async () => {
    const unit = fc.constantFrom("a", '"', "\\", "\n", "ä", "€", "\u{1f600}", "\u2028");
    const text = fc.string({ unit, maxLength: 60 });
    const escaped = (value: string): string =>
      JSON.stringify(value).replaceAll(/[^ -~]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
    await fc.assert(
      fc.asyncProperty(text, fc.integer({ min: 1, max: 9 }), async (value, stepBytes) => {
        for (const json of [JSON.stringify(value), escaped(value)]) expect(await parse(json, stepBytes)).toBe(value);
      }),
      { numRuns: 1000 },
    );
  });

  test("keeps the last of two members of one name, and numbers as they were written", async () => {
    const text =
      '{"a":{"b":1,"b":[1e2,-0.5,null,true , false, 1.0]},"long":"0123456789","c":1.50,"d":[1,12345678901234567890]}';
    for (const stepBytes of [1, 4, 20, 1000]) {
      const whole = await parse(text, stepBytes);
      expect(whole).toEqual(parseWithNumbers(text));
      expect(written(whole)).toEqual(written(parseWithNumbers(text)));
    }
  });

  test("is parsed in as many pauses as it has steps", async () => {
    let pauses = 0;
    const text = JSON.stringify(Array.from({ length: 10_000 }, (_, index) => ({ index })));
    await parse(text, 10_000, () => {
      pauses += 1;
    });
    expect(pauses).toBeGreaterThanOrEqual(Math.floor(text.length / 10_000) - 1);
    expect(pauses).toBeLessThan((text.length / 10_000) * 2 + 2);
  });

  test("pauses within an object of many short members by their number, because each takes longer than its text", async () => {
    let pauses = 0;
    const object = Object.fromEntries(Array.from({ length: 30_000 }, (_, index) => [`m${index}`, 1]));
    const whole = await parse(JSON.stringify(object), undefined, () => {
      pauses += 1;
    });
    expect(whole).toEqual(object);
    expect(pauses).toBeGreaterThanOrEqual(30);
  });

  test("ends with what the check throws", async () => {
    const leave = (): void => {
      throw new Error("the client left");
    };
    const failure: unknown = await parse(`[${"1,".repeat(1000)}1]`, 100, leave).catch((error: unknown) => error);
    expect(String(failure)).toBe("Error: the client left");
  });
});
