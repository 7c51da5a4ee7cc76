import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { scanMembers } from "../../../test/support/scan-members.ts";
import { GatewayError } from "../../errors/errors.ts";
import { JsonBody, readJsonBody } from "./json-body.ts";

const read = (text: string): Promise<JsonBody> => Promise.resolve(readJsonBody(Buffer.from(text)));
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function scanned(text: string): JsonBody {
  const bytes = Buffer.from(text);
  return new JsonBody(bytes, scanMembers(bytes));
}

async function codeOf(bytes: Uint8Array): Promise<string> {
  try {
    await readJsonBody(bytes);
  } catch (error) {
    if (error instanceof GatewayError) return error.code;
    throw error;
  }
  return "taken";
}

describe("members of a body", () => {
  test("are given as their bytes, as their values and by name, in the order of the body", async () => {
    const body = await read('{ "b" : [1, 2.50], "a":"x\\u0041" }');
    expect(body.members.map(({ name }) => name)).toEqual(["b", "a"]);
    expect(textOf(body.raw("b") ?? new Uint8Array())).toBe("[1, 2.50]");
    expect([body.value("a"), body.value("b")]).toEqual(["xA", [1, 2.5]]);
    expect([body.raw("c"), body.value("c")]).toEqual([undefined, undefined]);
  });

  test("that are longer than somebody wants to parse have no value, and still their bytes", async () => {
    const body = await read(JSON.stringify({ prompt: "x".repeat(70_000) }));
    expect(body.value("prompt")).toBeUndefined();
    expect(body.value("prompt", 100_000)).toHaveLength(70_000);
    expect(body.raw("prompt")).toHaveLength(70_002);
  });

  test("that are lists are counted, also where they are too long to be parsed", async () => {
    const long = Array.from({ length: 5000 }, (_, index) => ({ text: `a,"]${index}`, list: [1, 2] }));
    const body = await read(
      JSON.stringify({ empty: [], two: ["a,b", [1, 2, 3]], long, text: "[1,2]", object: { a: [1] } }),
    );
    expect(["empty", "two", "long", "text", "object", "absent"].map((name) => body.count(name))).toEqual([
      0, 2, 5000, 0, 0, 0,
    ]);
  });
});

describe("entries of a list", () => {
  test("are counted at its outermost level, and what is no list has none", () => {
    const counts = {
      "[]": 0,
      "[ ]": 0,
      "[1]": 1,
      "[ 1 , 2 ]": 2,
      '["a,b","[","\\"]"]': 3,
      '[[1,2],{"a":[3,4]}]': 2,
      '"a,b"': 0,
      '{"a":1,"b":2}': 0,
      "7": 0,
    };
    for (const [list, count] of Object.entries(counts))
      expect([list, scanned(`{"a":${list}}`).count("a")]).toEqual([list, count]);
    expect(scanned("{}").count("a")).toBe(0);
  });

  test("are as many as JSON.parse finds, and more than any lower number", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { maxLength: 20 }), fc.constantFrom(undefined, 2), (list, space) => {
        const body = scanned(JSON.stringify({ a: list }, undefined, space));
        expect(body.count("a")).toBe(list.length);
        for (const member of body.members) {
          expect(body.hasMoreEntries(member, list.length)).toBe(false);
          if (list.length > 0) expect(body.hasMoreEntries(member, list.length - 1)).toBe(true);
        }
      }),
    );
  });
});

describe("a changed body", () => {
  const changed = async (text: string, changes: Record<string, string>): Promise<string> =>
    textOf((await read(text)).with(new Map(Object.entries(changes))));

  test("has new values in the place of the old ones, and every other byte as it was", async () => {
    expect(await changed('{ "n": 1.0, "model":"a" , "z":[ ] }', { model: '"b"', n: "2" })).toBe(
      '{ "n": 2, "model":"b" , "z":[ ] }',
    );
  });

  test("has members that were not there at its end", async () => {
    expect(await changed('{"a":1}', { b: "[2]", c: "3" })).toBe('{"a":1,"b":[2],"c":3}');
    expect(await changed("{}", { b: "2", c: "3" })).toBe('{"b":2,"c":3}');
    expect(await changed(" { } \n", { 'q"': "null" })).toBe(' { "q\\"":null} \n');
  });

  test("without changes is the body", async () => {
    expect(await changed('{"a":{"b":"}"}}', {})).toBe('{"a":{"b":"}"}}');
  });
});

test("a body with another value of one member is as if it had been read with it", () => {
  const object = fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1, maxKeys: 40 });
  fc.assert(
    fc.property(object, fc.nat(), fc.jsonValue(), (value, place, next) => {
      const names = Object.keys(value).filter((name) => name !== "__proto__");
      const name = names[place % Math.max(1, names.length)] ?? "";
      const body = scanned(JSON.stringify(value)).withValue(name, JSON.stringify(next));
      const again = scanned(textOf(body.bytes));
      const spliced = scanned(JSON.stringify(value)).with(new Map([[name, JSON.stringify(next)]]));
      expect(textOf(body.bytes)).toBe(names.length > 0 ? textOf(spliced) : JSON.stringify(value));
      expect(body.members.map((member) => [member.name, member.start, member.end])).toEqual(
        again.members.map((member) => [member.name, member.start, member.end]),
      );
      for (const one of names) expect(body.count(one)).toBe(again.count(one));
    }),
  );
});

describe("a body is refused", () => {
  test("with the code that says what is wrong with it", async () => {
    expect(await codeOf(Buffer.from([0x7b, 0xff, 0x7d]))).toBe("invalid_json");
    expect(await codeOf(Buffer.from(""))).toBe("invalid_json");
    expect(await codeOf(Buffer.from('{"a":1'))).toBe("invalid_json");
    expect(await codeOf(Buffer.from('{"a":1,"a":2}'))).toBe("invalid_json");
    expect(await codeOf(Buffer.from("[1]"))).toBe("invalid_body");
    expect(await codeOf(Buffer.from('{"a":[{"__proto__":1}]}'))).toBe("forbidden_key");
    expect(await codeOf(Buffer.from('{"a":"__proto__"}'))).toBe("taken");
  });

  test("also where it is so long that it is scanned in steps", async () => {
    const long = JSON.stringify({ prompt: "x".repeat(2_000_000) });
    expect(await codeOf(Buffer.from(`${long} x`))).toBe("invalid_json");
    expect(await codeOf(Buffer.from(long))).toBe("taken");
  });
});

test("a body that is long lets other work run while it is scanned, and a short one is there at once", async () => {
  expect(readJsonBody(Buffer.from("{}"))).not.toBeInstanceOf(Promise);
  const messages = Array.from({ length: 2000 }, () => "x".repeat(1000));
  const reading = readJsonBody(Buffer.from(JSON.stringify({ messages })));
  expect(reading).toBeInstanceOf(Promise);
  let hasRun = false;
  const other = setImmediate(() => (hasRun = true));
  await reading;
  clearImmediate(other);
  expect(hasRun).toBe(true);
});
