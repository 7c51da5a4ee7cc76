import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { readValue } from "./json-value.ts";

/** The value of a JSON text in the middle of other bytes. */
function read(json: string): unknown {
  const before = Buffer.from('{"é":');
  const text = Buffer.from(json);
  return readValue(Buffer.concat([before, text, Buffer.from("}")]), before.length, before.length + text.length);
}

describe("a value is read as JSON.parse reads it", () => {
  const texts = [
    ...["true", "false", "null", "0", "-0", "7", "256", "999999999999999", "9999999999999999", "-1", "0.7", "1e3"],
    ...['""', '"m"', '"meta-llama/Llama-3.1-8B-Instruct"', '"a\\"b"', '"\\u0041"', '"größer"', '"🚂"', '"\u007f"'],
    ...[`"${"x".repeat(127)}"`, `"${"x".repeat(5000)}"`, "[]", "[1,2]", '{"a":[true]}', "[ 1 ]"],
  ];
  for (const text of texts) test(text.slice(0, 40), () => expect(read(text)).toEqual(JSON.parse(text)));

  test("whatever it is", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        expect(read(text)).toEqual(JSON.parse(text));
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.string({ unit: "binary" }),
        (number, text) => {
          expect([read(JSON.stringify(number)), read(JSON.stringify(text))]).toEqual([
            JSON.parse(JSON.stringify(number)),
            text,
          ]);
        },
      ),
      { numRuns: 500 },
    );
  });
});
