import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Packable, writeMsgpack } from "../../test/support/write-msgpack.ts";
import { readMsgpack } from "./msgpack.ts";

const read = (hex: string): unknown => readMsgpack(Buffer.from(hex, "hex"));

describe("MessagePack", () => {
  test("whole numbers of every form are read; beyond 2^53 they are bigint and exact", () => {
    const forms: readonly [hex: string, value: unknown][] = [
      ["00", 0],
      ["7f", 127],
      ["e0", -32],
      ["ff", -1],
      ["cc80", 128],
      ["cd0100", 256],
      ["ceffffffff", 4_294_967_295],
      ["cf001fffffffffffff", 9_007_199_254_740_991],
      ["cf0020000000000000", 9_007_199_254_740_992n],
      ["cf9cfb7d98c9173239", 11_311_772_984_233_374_265n],
      ["d080", -128],
      ["d18000", -32_768],
      ["d280000000", -2_147_483_648],
      ["d3ffe0000000000001", -9_007_199_254_740_991],
      ["d38000000000000000", -9_223_372_036_854_775_808n],
    ];
    for (const [hex, value] of forms) expect([hex, read(hex)]).toEqual([hex, value]);
  });

  test("nil, booleans, floats, texts, binary data, arrays and maps are read; extensions are read over", () => {
    expect(read("95c0c2c3ca3fc00000cb3ff8000000000000")).toEqual([null, false, true, 1.5, 1.5]);
    expect(read("94a3616263d90161da000162db0000000163")).toEqual(["abc", "a", "b", "c"]);
    expect(read("93c40101c5000102c60000000103")).toEqual([Buffer.of(1), Buffer.of(2), Buffer.of(3)]);
    expect(read("dc000101")).toEqual([1]);
    expect(read("dd0000000101")).toEqual([1]);
    expect(read("81a16101")).toEqual(new Map([["a", 1]]));
    expect(read("de0001a16101")).toEqual(new Map([["a", 1]]));
    expect(read("df000000010102")).toEqual(new Map([[1, 2]]));
    expect(
      read("97d40101d5010101d60101010101d70101010101010101 01c7010201c800010201c9000000010201".replace(" ", "")),
    ).toEqual(Array.from({ length: 7 }));
  });

  test("what is cut, has bytes behind it, begins with an unknown byte or is nested too deep is refused", () => {
    for (const [hex, reason] of [
      ["", "it is cut"],
      ["cd01", "it is cut"],
      ["a361", "it is cut"],
      ["9201", "it is cut"],
      ["ddffffffff", "it is cut"],
      ["dfffffffff00", "it is cut"],
      ["0000", "bytes follow the value"],
      ["c1", "a byte that begins no value"],
      [`${"91".repeat(17)}00`, "more than 16 levels"],
    ] as const) {
      expect(() => read(hex)).toThrow(reason);
    }
  });

  test("any value that is written is read again", () => {
    const { value } = fc.letrec<{ value: Packable }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(null, true, false),
        fc
          .double({ noNaN: true })
          .filter((one) => !Object.is(one, -0) && (!Number.isInteger(one) || Number.isSafeInteger(one))),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
        fc.string({ unit: "grapheme", maxLength: 300 }),
        fc.array(tie("value"), { maxLength: 20 }),
        fc.dictionary(fc.string(), tie("value"), { maxKeys: 20 }),
      ),
    }));
    fc.assert(
      fc.property(value, (one) => {
        const read: unknown = readMsgpack(writeMsgpack(one));
        expect(read).toEqual(asRead(one));
      }),
    );
  });

  test("any bytes are read or refused by a MsgpackError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          readMsgpack(bytes);
        } catch (error) {
          expect(error).toMatchObject({ name: "MsgpackError" });
        }
      }),
      { numRuns: 1000 },
    );
  });
});

/** The form in which a written value is read: maps as Map, small whole numbers as number. */
function asRead(value: Packable): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (Array.isArray(value)) return value.map(asRead);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  return new Map(Object.entries(value).map(([key, one]) => [key, asRead(one)]));
}
