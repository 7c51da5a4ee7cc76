import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { eachEntry, joinLists, memberAt, splice } from "./splice.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (raw: Uint8Array | undefined): string | undefined => raw && Buffer.from(raw).toString();

describe("splice", () => {
  test("changes one member, and everything else stays byte for byte", () => {
    const json = ' { "a" : 1.50e+3 , "b":{"c" :[ 1, 2 ] ,"d":18446744073709551615}, "é\\u0041":null } ';
    expect(text(splice(bytes(json), ["b", "c"], () => "[0]"))).toBe(json.replace("[ 1, 2 ]", "[0]"));
    expect(text(splice(bytes(json), ["b", "e"], () => "true"))).toBe(json.replace("615}", '615,"e":true}'));
  });

  test("leaves alone what has no such way to it", () => {
    for (const json of ['{"a":1}', "[1]", "nonsense", '{"a":{"b":null}}', ""]) {
      expect(text(splice(bytes(json), ["a", "b", "c"], () => "1"))).toBe(json);
      expect(text(splice(bytes(json), [], () => "1"))).toBe(json);
    }
    expect(text(splice(bytes('{"a":1}'), ["a"], () => undefined))).toBe('{"a":1}');
  });

  test("finds what it wrote, in whatever objects", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.array(
          fc.string().filter((name) => name !== "__proto__"),
          { minLength: 1, maxLength: 3 },
        ),
        fc.jsonValue(),
        (around, path, value) => {
          const inside = path.slice(0, -1).reduceRight<unknown>((inner, name) => ({ x: 1, [name]: inner }), around);
          const before = JSON.stringify(inside);
          const after = splice(bytes(before), path, () => JSON.stringify(value));
          expect(text(memberAt(after, path))).toBe(JSON.stringify(value));
          const restored = JSON.parse(text(splice(after, path, () => '"@"')) ?? "");
          const expected = JSON.parse(text(splice(bytes(before), path, () => '"@"')) ?? "");
          expect(restored).toEqual(expected);
        },
      ),
    );
  });
});

describe("lists", () => {
  test("are joined with their numbers as they were written", () => {
    expect(text(joinLists(bytes("[[-0.10, 1, null]]"), bytes("[ [-1e-7,2,null] ]")))).toBe(
      "[[-0.10, 1, null], [-1e-7,2,null] ]",
    );
    expect(text(joinLists(bytes("[]"), bytes("[1]")))).toBe("[1]");
    expect(text(joinLists(bytes("[1]"), bytes("[ ]")))).toBe("[1 ]");
    expect(text(joinLists(bytes("[1]"), undefined))).toBe("[1]");
    expect(text(joinLists(bytes("null"), bytes("[1]")))).toBe("[1]");
  });

  test("are changed entry by entry", () => {
    const list = ' [ {"a":"],\\"["} , 2,"x,\\\\", [3,[4]],null ] ';
    const seen: (string | undefined)[] = [];
    const after = eachEntry(bytes(list), (entry, index) => {
      seen[index] = text(entry);
      return index === 1 ? bytes("20") : entry;
    });
    expect(seen).toEqual(['{"a":"],\\"["}', "2", '"x,\\\\"', "[3,[4]]", "null"]);
    expect(text(after)).toBe(list.replace(" 2,", " 20,"));
  });

  test("have the entries that a reader of JSON finds", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.constantFrom(undefined, 1), (list, indent) => {
        const entries: unknown[] = [];
        const json = bytes(JSON.stringify(list, undefined, indent));
        const after = eachEntry(json, (entry) => {
          entries.push(JSON.parse(text(entry) ?? ""));
          return entry;
        });
        expect([text(after), entries]).toEqual([text(json), JSON.parse(text(json) ?? "")]);
      }),
    );
  });
});
