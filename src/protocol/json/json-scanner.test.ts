import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { scanMembers } from "../../../test/support/scan-members.ts";
import { JsonScanner, MAX_DEPTH, MAX_MEMBERS } from "./json-scanner.ts";

function members(text: string): [name: string, value: string][] {
  const bytes = Buffer.from(text);
  return [...scanMembers(bytes)].map(([name, { start, end }]) => [name, bytes.toString("utf8", start, end)]);
}

function accepts(text: string): boolean {
  try {
    scanMembers(Buffer.from(text));
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

function parses(text: string, reviver?: (key: string, value: unknown) => unknown): boolean {
  try {
    JSON.parse(text, reviver);
    return true;
  } catch {
    return false;
  }
}

/** A reviver for JSON.parse that refuses numbers beyond a double. */
function finite(_key: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) throw new SyntaxError("not finite");
  return value;
}

describe("scanner", () => {
  test("finds the outermost members as they stand in the text", () => {
    expect(members(' { "a" : 1.50 , "b":{"c":[1,"}"]},"\\u0064":"x\\"y" , "e":[] }')).toEqual([
      ["a", "1.50"],
      ["b", '{"c":[1,"}"]}'],
      ["d", '"x\\"y"'],
      ["e", "[]"],
    ]);
    expect(members("[1,2]")).toEqual([]);
  });

  test("knows a __proto__ key at any depth, escaped or followed by spaces, and no other", () => {
    const hasProtoKey = (text: string): boolean => {
      const scanner = new JsonScanner(Buffer.from(text));
      while (!scanner.run(1000));
      return scanner.hasProtoKey;
    };
    const all = Array.from("__proto__")
      .map((char) => `\\u00${char.charCodeAt(0).toString(16)}`)
      .join("");
    for (const key of ["__proto__", "\\u005f_proto__", "__\\u0070roto__", all]) {
      expect(hasProtoKey(`{"a":[{"${key}"${" ".repeat(100)}:1}]}`)).toBe(true);
      expect(hasProtoKey(`{"${key}":1}`)).toBe(true);
      expect(hasProtoKey(`{"a":"${key}","_${key}":1,"${key}_":["${key}"]}`)).toBe(false);
    }
    expect(hasProtoKey(JSON.stringify({ a: 'say "__proto__": 1' }))).toBe(false);
  });

  test("agrees with JSON.parse on every value, whatever the steps", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.integer({ min: 1, max: 50 }), (value, step) => {
        const bytes = Buffer.from(JSON.stringify({ value, 'a "key"': value }, undefined, step % 3));
        const scanner = new JsonScanner(bytes);
        while (!scanner.run(step));
        const { start, end } = scanner.members.get("value") ?? { start: 0, end: 0 };
        expect(JSON.parse(bytes.toString("utf8", start, end))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test("agrees with JSON.parse on what is no JSON", () => {
    const text = fc
      .array(
        fc.constantFrom(
          '"',
          "\\",
          "{",
          "}",
          "[",
          "]",
          ",",
          ":",
          "1",
          "-",
          ".",
          "e",
          "0",
          "true",
          "nul",
          " ",
          "\n",
          "a",
        ),
        {
          maxLength: 12,
        },
      )
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, (tried) => {
        expect([tried, accepts(tried)]).toEqual([tried, parses(tried)]);
      }),
      { numRuns: 5000 },
    );
    for (const tried of [
      "",
      "{",
      '{"a":1,}',
      "[1,]",
      "01",
      "1e",
      '"\t"',
      '"\\x"',
      "nan",
      '{"a" 1}',
      "1 2",
      '{"a":1}}',
    ]) {
      expect([tried, accepts(tried)]).toEqual([tried, false]);
    }
  });

  test("long strings, with whatever in them at whatever place, in bytes at whatever address", () => {
    const piece = fc.constantFrom(
      "plain text ",
      '\\"',
      "\\n",
      "\\\\",
      "größer",
      "🚂",
      "\\ud83d\\ude00",
      "\n",
      "\u0001",
      "\\x",
    );
    fc.assert(
      fc.property(fc.array(piece, { minLength: 20, maxLength: 60 }), fc.nat(7), fc.nat(200), (pieces, offset, step) => {
        const text = `${" ".repeat(offset)}{"a":"${"x".repeat(offset)}${pieces.join("")}","b":"${pieces.slice(0, 5).join("")}"}`;
        const whole = Buffer.concat([Buffer.alloc(offset), Buffer.from(text)]);
        let isTaken = true;
        try {
          const scanner = new JsonScanner(whole.subarray(offset));
          while (!scanner.run(step + 1));
        } catch {
          isTaken = false;
        }
        expect([text, isTaken]).toEqual([text, parses(text)]);
      }),
      { numRuns: 1000 },
    );
  });

  test("long strings with letters of several bytes at their end", () => {
    for (const letter of ["é", "ÿ", "駅", "🚂"]) {
      for (let length = 44; length < 60; length += 1) {
        const text = JSON.stringify(`${"x".repeat(length)}${letter}`);
        expect([text, accepts(text), accepts(`{"a":${text},"b":[]}`)]).toEqual([text, true, true]);
      }
    }
  });

  test("agrees with JSON.parse on numbers, and on lists of them with whatever between", () => {
    const piece = fc.constantFrom(
      "0",
      "1",
      "12",
      "907",
      "-",
      "+",
      ".",
      "e",
      "E",
      ",",
      ", ",
      ",,",
      "true",
      "null",
      '"a"',
      "[",
      "]",
      "{}",
    );
    const list = fc.array(piece, { maxLength: 10 }).map((parts) => parts.join(""));
    const check = (text: string): void => expect([text, accepts(text)]).toEqual([text, parses(text, finite)]);
    fc.assert(
      fc.property(list, (text) => {
        check(text);
        check(`[${text}]`);
        check(`[1,22,${text},333]`);
        check(`{"a":${text},"b":[7,${text}]}`);
      }),
      { numRuns: 3000 },
    );
    fc.assert(fc.property(fc.double({ noDefaultInfinity: true, noNaN: true }), (number) => check(String(number))));
    for (const text of ["-0", "-", "1.", ".5", "1e", "1e+", "1E-2", "0.5e7", "00", "-01", "tru", "truex", "nulll"])
      check(text);
  });

  test("a long list of token ids is read to its end, and refused for any one that is wrong", () => {
    const ids = Array.from({ length: 5000 }, (_, index) => (index * 7919) % 128_000);
    expect(members(JSON.stringify({ input_ids: ids, stream: true }))[0]).toEqual(["input_ids", JSON.stringify(ids)]);
    const pieces = ids.map(String);
    for (const wrong of ["", "01", "1 2", "-", "x", "1.", '"', "9".repeat(400)]) {
      for (const at of [0, 1, 700, 701, 4999]) {
        expect([wrong, at, accepts(`[${pieces.toSpliced(at, 1, wrong).join(",")}]`)]).toEqual([wrong, at, false]);
      }
    }
  });

  test("a long text in which each letter is escaped takes no longer than a pause may be", () => {
    // Of the processor's time, so that other processes do not count.
    const text = `"${"\\u4eca\\u5929".repeat(40_000)}"`;
    let best = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < 10; tries += 1) {
      const from = process.cpuUsage().user;
      expect(accepts(text)).toBe(true);
      best = Math.min(best, (process.cpuUsage().user - from) / 1000);
    }
    expect(best).toBeLessThan(5);
    for (const wrong of ["\\u4ec", "\\u4ecg", "\\U4eca", "\\", "\\x", "\\ud800", "\\u-123", "\\u 123"]) {
      expect([wrong, accepts(`"${"\\u4eca".repeat(500)}${wrong}"`)]).toEqual([wrong, false]);
    }
  });

  test("no step reads much more than its budget, whatever one string or number holds", () => {
    const size = 1_000_000;
    const budget = 50_000;
    for (const piece of [
      "plain",
      "a\\n",
      "\\u4eca",
      "\\ud83d\\ude00",
      "é",
      "駅",
      '\\"',
      "line of a text, with more behind it\\n",
    ]) {
      const long = piece.repeat(Math.ceil(size / piece.length));
      for (const text of [`{"a":"${long}","b":1}`, `{"a":{"${long}":1},"b":1}`, `{"${long}":1,"b":1}`, `["${long}"]`]) {
        const scanner = new JsonScanner(Buffer.from(text));
        let steps = 1;
        while (!scanner.run(budget)) steps += 1;
        expect(steps).toBeGreaterThanOrEqual(size / budget);
        if (text.endsWith('"b":1}')) expect(scanner.members.get("b")?.end).toBe(Buffer.byteLength(text) - 1);
      }
    }
    for (const number of ["9", "1.5", "0.0", "-1", "1e-0"]) {
      expect(accepts(`[${number}${"0".repeat(size)}]`)).toBe(false);
      expect(accepts(`[${number}${number === "9" ? "" : "0".repeat(200)}]`)).toBe(true);
    }
  });

  test("refuses what readers disagree about", () => {
    expect(accepts("[".repeat(MAX_DEPTH) + "]".repeat(MAX_DEPTH))).toBe(true);
    expect(accepts("[".repeat(MAX_DEPTH + 1) + "]".repeat(MAX_DEPTH + 1))).toBe(false);
    expect(accepts('{"model":"a","model":"b"}')).toBe(false);
    expect(accepts('{"model":"a","\\u006dodel":"b"}')).toBe(false);
    expect(accepts('{"a":{"model":1},"model":"b"}')).toBe(true);
    for (const half of ["\\ud800", "\\udc00", "\\ud800\\u0041", "\\ud800x", "\\uD83D"])
      expect(accepts(`"${half}"`)).toBe(false);
    expect(accepts('"\\ud83d\\ude00 \\\\ud800"')).toBe(true);
  });
});

test("outermost members may be some thousand, and entries of what they hold as many as there is room for", () => {
  const members = (count: number): string =>
    `{${Array.from({ length: count }, (_, index) => `"m${index}":1`).join(",")}}`;
  const scan = (text: string): number => scanMembers(Buffer.from(text)).size;
  expect(scan(members(MAX_MEMBERS))).toBe(MAX_MEMBERS);
  expect(() => scan(members(MAX_MEMBERS + 1))).toThrow(`more than ${MAX_MEMBERS} members`);
  expect(scan(`{"a":${members(MAX_MEMBERS + 1)}}`)).toBe(1);
});
