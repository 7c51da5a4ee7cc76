import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Packable, writeMsgpack } from "../../test/support/write-msgpack.ts";
import { readBatch } from "./cache-event.ts";

const read = (value: Packable): ReturnType<typeof readBatch> => readBatch(writeMsgpack(value));

const STORED = {
  kind: "stored",
  keys: [11n * 2n ** 60n, 12],
  parent: undefined,
  tokens: [1, 2, 3, 4],
  blockTokens: 2,
  lora: undefined,
  salt: undefined,
  tier: "GPU",
  isRemote: false,
  extraKeys: [],
  group: undefined,
  attention: undefined,
} as const;

const MAP_EVENT = {
  type: "BlockStored",
  block_hashes: [11n * 2n ** 60n, 12],
  parent_block_hash: null,
  token_ids: [1, 2, 3, 4],
  block_size: 2,
  lora_id: null,
  medium: "GPU",
  lora_name: null,
};
const ARRAY_EVENT = ["BlockStored", [11n * 2n ** 60n, 12], null, [1, 2, 3, 4], 2, null];

describe("a batch", () => {
  test("is read the same as array and as map, with events as arrays and as maps", () => {
    for (const event of [MAP_EVENT, ARRAY_EVENT]) {
      expect(read([1.5, [event], 3])).toEqual({ events: [STORED], skipped: 0, rank: 3 });
      expect(read({ ts: 1.5, events: [event], data_parallel_rank: 3 })).toEqual({
        events: [STORED],
        skipped: 0,
        rank: 3,
      });
    }
  });

  test("may lack fields at its end and have more than we know, and unknown events are counted and left out", () => {
    expect(read([1.5, [ARRAY_EVENT]])).toEqual({ events: [STORED], skipped: 0, rank: undefined });
    expect(read([1.5, [["Later", 1], { type: "Later" }, {}, [], 7, ARRAY_EVENT], null, "more"])).toMatchObject({
      events: [STORED],
      skipped: 5,
    });
    const longer = [
      "BlockStored",
      [1],
      9,
      [1, 2],
      2,
      7,
      "CPU",
      "ada",
      [["ada", "salt"]],
      1,
      "full_attention",
      null,
      "later",
    ];
    expect(read([0, [longer]]).events).toEqual([
      {
        ...STORED,
        keys: [1],
        parent: 9,
        tokens: [1, 2],
        lora: "ada",
        tier: "CPU",
        extraKeys: [["ada", "salt"]],
        group: 1,
        attention: "full_attention",
      },
    ]);
  });

  test("has removals, clears and SGLang's reports of load", () => {
    expect(
      read([
        0,
        [
          ["BlockRemoved", [1, -2], "CPU", 3],
          ["BlockRemoved", [1]],
          { type: "AllBlocksCleared" },
          ["AllBlocksCleared"],
        ],
      ]).events,
    ).toEqual([
      { kind: "removed", keys: [1, -2], tier: "CPU", isRemote: false, group: 3 },
      { kind: "removed", keys: [1], tier: "GPU", isRemote: false, group: undefined },
      { kind: "cleared" },
      { kind: "cleared" },
    ]);
    expect(read([0, [["LoadStat", 2, 1, 900, 4000, 0, null]]]).events).toEqual([
      { kind: "load", running: 2, waiting: 1, tokens: 900, maxTokens: 4000 },
    ]);
  });

  test("may have hashes as bytes, which are equal where all bytes are", () => {
    const stored = (last: number): Packable => [
      0,
      [["BlockStored", [Buffer.of(0xc3, 1, last)], Buffer.of(255), [1], 1, null]],
    ];
    const keyOf = (last: number): unknown =>
      read(stored(last)).events.flatMap((event) => ("keys" in event ? event.keys : []))[0];
    expect(keyOf(2)).toBe("\u00c3\u0001\u0002");
    expect(keyOf(2)).not.toBe(keyOf(3));
  });

  test("an adapter has its name, or in older engines its number", () => {
    const loraOf = (id: Packable, name: Packable): unknown => {
      const [event] = read([0, [{ ...MAP_EVENT, lora_id: id, lora_name: name }]]).events;
      return event?.kind === "stored" ? event.lora : undefined;
    };
    expect([loraOf(4, "sql"), loraOf(4, null), loraOf(null, null)]).toEqual(["sql", "4", undefined]);
  });

  test("a salt of SGLang is a field of its own, or in arrays a map behind the tier, and is no adapter", () => {
    for (const event of [
      { ...MAP_EVENT, cache_salt: "tenant-1", session_id: "s" },
      [...ARRAY_EVENT, "GPU", { cache_salt: "tenant-1", session_id: "s" }],
    ]) {
      expect(read([1.5, [event], null]).events).toEqual([{ ...STORED, salt: "tenant-1" }]);
    }
    for (const event of [[...ARRAY_EVENT, "GPU", { session_id: "s" }], { ...MAP_EVENT, session_id: "s" }]) {
      expect(read([1.5, [event], null]).events).toEqual([STORED]);
    }
  });

  test("storage that is not the engine's own is told from its own, and what another owner stores in a tier from what the engine does", () => {
    const placesOf = (place: { readonly [key: string]: Packable }): unknown =>
      read([
        0,
        [
          { ...MAP_EVENT, ...place },
          { type: "BlockRemoved", block_hashes: [1], ...place },
        ],
      ]).events.map((event) => ("tier" in event ? [event.tier, event.isRemote] : []));
    expect(placesOf({ medium: "STORAGE", locality: "REMOTE" })).toEqual([
      ["STORAGE", true],
      ["STORAGE", true],
    ]);
    expect(placesOf({ medium: "STORAGE", locality: "LOCAL", ownership: "other" })).toEqual([
      ["STORAGE other", false],
      ["STORAGE other", false],
    ]);
    const array = [...ARRAY_EVENT, "STORAGE", null, null, 0, "full_attention", null, "REMOTE"];
    expect(read([0, [array, ["BlockRemoved", [1], "STORAGE", 0, "REMOTE"]]]).events).toMatchObject([
      { tier: "STORAGE", isRemote: true },
      { tier: "STORAGE", isRemote: true },
    ]);
  });

  test("tokens may come with the next one each, or not at all where blocks are copied to another tier", () => {
    const tokensIn = (...fields: readonly Packable[]): unknown => {
      const [event] = read([0, [["BlockStored", [1], null, ...fields]]]).events;
      return event?.kind === "stored" ? [event.tokens, event.blockTokens] : undefined;
    };
    expect(
      tokensIn(
        [
          [1, 2],
          [2, 3],
        ],
        2,
      ),
    ).toEqual([[1, 2], 2]);
    expect([tokensIn(null, 16), tokensIn([]), tokensIn(null, null)]).toEqual([
      [[], 16],
      [[], 0],
      [[], 0],
    ]);
  });

  test("that is none is refused", () => {
    for (const [batch, reason] of [
      [7, "neither an array nor a map"],
      [[0], "without a list of events"],
      [[0, [["BlockStored", 7, null, [1], 1]]], "without hashes"],
      [[0, [["BlockStored", [1.5, null], null, [1], 1]]], "a hash that is neither"],
      [[0, [["BlockStored", [1], null, ["1"], 1]]], "without tokens or size"],
      [[0, [["BlockStored", [1], null, [1]]]], "without tokens or size"],
      [[0, [["BlockRemoved"]]], "without hashes"],
    ] as const) {
      expect(() => read(batch)).toThrow(reason);
    }
  });
});

test("bytes that one change made of a batch are read or refused by a MsgpackError", () => {
  const bytes = writeMsgpack([1.5, [MAP_EVENT, ARRAY_EVENT, ["BlockRemoved", [1], "GPU"]], 0]);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, byte, length) => {
      const changed = Buffer.from(bytes.subarray(0, length));
      if (at < length) changed[at] = byte;
      try {
        readBatch(changed);
      } catch (error) {
        expect(error).toMatchObject({ name: "MsgpackError" });
      }
    }),
    { numRuns: 2000 },
  );
});
