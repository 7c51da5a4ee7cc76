import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { hashPrompt } from "../policy/prefix-blocks.ts";
import type { BlocksStored, CacheEvent } from "./cache-event.ts";
import { HeldBlocks } from "./held-blocks.ts";
import { bodyOf } from "../../test/support/answers.ts";
import { readJsonBody } from "../protocol/json/json-body.ts";
import { requestWith } from "../../test/support/candidates.ts";
import { TokenFeatures } from "../router/features/token-features.ts";

/** What policies would know: by adapter the hashes that are held. */
function setUp(maxBytes = 10_000_000) {
  const held = new Map<string, Set<number>>();
  const of = (lora: string | undefined): Set<number> => {
    const known = held.get(lora ?? "") ?? new Set<number>();
    held.set(lora ?? "", known);
    return known;
  };
  const blocks = new HeldBlocks(maxBytes, {
    stored: (lora, hashes) => {
      for (const hash of hashes) of(lora).add(hash);
    },
    removed: (lora, hashes) => {
      for (const hash of hashes) of(lora).delete(hash);
    },
    cleared: () => held.clear(),
  });
  return {
    blocks,
    apply: (...events: readonly CacheEvent[]) => {
      for (const event of events) blocks.apply(event);
    },
    /** Tokens of the prompt that the index would find. */
    tokensOf: (tokens: readonly number[], lora?: string): number => {
      const { hashes } = hashed(tokens);
      const missing = hashes.findIndex((hash) => !of(lora).has(hash));
      return (missing < 0 ? hashes.length : missing) * 32;
    },
    known: (hash: number): boolean => of(undefined).has(hash),
    /** The index forgets the worker. */
    forget: () => held.clear(),
    size: () => [...held.values()].reduce((sum, { size }) => sum + size, 0),
  };
}

function hashed(tokens: readonly number[]): { readonly hashes: Int32Array } {
  return hashPrompt(new Uint8Array(Uint32Array.from(tokens).buffer));
}

/** A prompt of `length` tokens that begins with `seed`. */
function prompt(seed: number, length: number): number[] {
  return Array.from({ length }, (_, at) => (seed * 7919 + at * at) % 32_000);
}

/** The name of the block that ends a prefix: equal where the prefixes are equal. */
function keyOf(prefix: readonly number[], salt = ""): bigint {
  return Bun.hash(`${salt}${prefix.join(",")}`);
}

/** The event for the blocks of a prompt from the token `from` on. */
function stored(
  tokens: readonly number[],
  blockTokens: number,
  from = 0,
  change: Partial<BlocksStored> = {},
): BlocksStored {
  const count = Math.floor(tokens.length / blockTokens) - from / blockTokens;
  const salt = change.lora ?? "";
  return {
    kind: "stored",
    keys: Array.from({ length: count }, (_, at) => keyOf(tokens.slice(0, from + (at + 1) * blockTokens), salt)),
    parent: from === 0 ? undefined : keyOf(tokens.slice(0, from), salt),
    tokens: tokens.slice(from, from + count * blockTokens),
    blockTokens,
    lora: undefined,
    salt: undefined,
    tier: "GPU",
    isRemote: false,
    extraKeys: [],
    group: undefined,
    attention: undefined,
    ...change,
  };
}

/** The hashes of a request with these tokens and this salt. */
function ofSalt(tokens: readonly number[], salt: string): number[] {
  const body = bodyOf({ model: "m", messages: [], cache_salt: salt });
  const features = requestWith({ model: "m" });
  return [...new TokenFeatures([{ ids: Uint32Array.from(tokens) }], features, body).promptBlocks().hashes];
}

/** The event for blocks of a prompt by their numbers. */
function removed(tokens: readonly number[], blockTokens: number, numbers: readonly number[], tier = "GPU"): CacheEvent {
  return {
    kind: "removed",
    keys: numbers.map((at) => keyOf(tokens.slice(0, (at + 1) * blockTokens))),
    tier,
    isRemote: false,
    group: undefined,
  };
}

describe("blocks of an engine", () => {
  for (const blockTokens of [1, 16, 24, 32, 64, 256]) {
    test(`of ${blockTokens} tokens have the hashes of the gateway's own prompts`, () => {
      const { apply, tokensOf } = setUp();
      const tokens = prompt(1, 768);
      apply(stored(tokens, blockTokens));
      expect(tokensOf(tokens)).toBe(768);
      expect(tokensOf(prompt(2, 768))).toBe(0);
    });
  }

  test("may come in parts, whose parents were named before", () => {
    const { apply, tokensOf } = setUp();
    const tokens = prompt(1, 20_000);
    for (const from of [0, 160, 5008, 16_400]) apply(stored(tokens.slice(0, from === 0 ? 160 : undefined), 16, from));
    const { hashes } = hashed(tokens);
    expect(tokensOf(tokens)).toBe(hashes.length * 32);
  });

  test("are found as far as they are whole: half a block of the index is none", () => {
    const { apply, tokensOf } = setUp();
    const tokens = prompt(1, 112);
    apply(stored(tokens, 16));
    expect(tokensOf(prompt(1, 128))).toBe(96);
    apply(stored(prompt(1, 128), 16, 112));
    expect(tokensOf(prompt(1, 128))).toBe(128);
  });

  test("that go from the end on leave the beginning, and come back", () => {
    const { apply, blocks, tokensOf } = setUp();
    const tokens = prompt(1, 128);
    apply(stored(tokens, 16), removed(tokens, 16, [7, 6, 5]));
    expect([tokensOf(tokens), blocks.blocks]).toEqual([64, 5]);
    apply(stored(tokens, 16, 80));
    expect([tokensOf(tokens), blocks.blocks]).toEqual([128, 8]);
  });

  test("of which one in the middle goes are not found behind it, and it keeps its place for those behind it", () => {
    const { apply, blocks, tokensOf } = setUp();
    const tokens = prompt(1, 128);
    apply(stored(tokens, 16), removed(tokens, 16, [3]));
    expect(tokensOf(tokens)).toBe(32);
    expect(blocks.blocks).toBe(8);
    apply({ ...stored(tokens.slice(0, 64), 16, 48) });
    expect(tokensOf(tokens)).toBe(128);
    apply(removed(tokens, 16, [3]), removed(tokens, 16, [7, 6, 5, 4]));
    // Nothing is left behind it, so its place is free.
    expect(blocks.blocks).toBe(3);
  });

  test("count while any tier holds them", () => {
    const { apply, tokensOf } = setUp();
    const tokens = prompt(1, 64);
    apply(stored(tokens, 16), { ...stored(tokens, 16), tier: "CPU", tokens: [] });
    apply(removed(tokens, 16, [3, 2, 1, 0]));
    expect(tokensOf(tokens)).toBe(64);
    apply(removed(tokens, 16, [3, 2, 1, 0], "CPU"));
    expect(tokensOf(tokens)).toBe(0);
  });

  test("that two requests computed at once are held twice", () => {
    const { apply, tokensOf } = setUp();
    const tokens = prompt(1, 64);
    const last = { ...stored(tokens, 16, 48) };
    apply(stored(tokens, 16), last, removed(tokens, 16, [3]));
    expect(tokensOf(tokens)).toBe(64);
    apply(removed(tokens, 16, [3]));
    expect(tokensOf(tokens)).toBe(32);
  });

  test("of which a request asked for a full report are held once", () => {
    const { apply, tokensOf } = setUp();
    const tokens = prompt(1, 64);
    apply(stored(tokens, 16), stored(tokens, 16), stored(tokens.slice(0, 32), 16), removed(tokens, 16, [3, 2]));
    expect(tokensOf(tokens)).toBe(32);
  });

  test("of an adapter are the adapter's", () => {
    const { apply, tokensOf } = setUp();
    const tokens = prompt(1, 64);
    apply(stored(tokens, 16, 0, { lora: "sql", extraKeys: [["sql"], ["sql"], ["sql"], ["sql"]] }));
    expect([tokensOf(tokens, "sql"), tokensOf(tokens)]).toEqual([64, 0]);
  });

  test("of a salt are those of the prompts with this salt", () => {
    const { apply, known, tokensOf } = setUp();
    const tokens = prompt(1, 64);
    apply(stored(tokens, 16, 0, { extraKeys: [["tenant-1"], [], [], []] }));
    expect(tokensOf(tokens)).toBe(0);
    expect([ofSalt(tokens, "tenant-1").every(known), ofSalt(tokens, "tenant-2").some(known)]).toEqual([true, false]);
  });

  test("of a salt that the engine tells by itself, or in both ways, are those of the prompts with this salt", () => {
    for (const extraKeys of [[], [["tenant-1"], [], [], []]]) {
      const { apply, known, tokensOf } = setUp();
      const tokens = prompt(1, 64);
      apply(
        stored(tokens.slice(0, 32), 16, 0, { salt: "tenant-1", extraKeys }),
        stored(tokens, 16, 32, { salt: "tenant-1" }),
      );
      expect([
        tokensOf(tokens),
        ofSalt(tokens, "tenant-1").every(known),
        ofSalt(tokens, "tenant-2").some(known),
      ]).toEqual([0, true, false]);
    }
  });

  test("in storage that is not the engine's own do not count, and their removal takes nothing away", () => {
    const { apply, blocks, tokensOf } = setUp();
    const tokens = prompt(1, 64);
    apply(stored(tokens, 16, 0, { tier: "STORAGE", isRemote: true }));
    expect([tokensOf(tokens), blocks.oddities.foreign]).toEqual([0, 4]);
    apply(stored(tokens, 16), { ...removed(tokens, 16, [3, 2, 1, 0]), isRemote: true } as CacheEvent);
    expect(tokensOf(tokens)).toBe(64);
  });

  test("of which none is of full attention are a fault where they are many", () => {
    const { apply, blocks } = setUp();
    const window = { group: 0, attention: "sliding_window" };
    apply(stored(prompt(1, 63 * 16), 16, 0, window));
    expect(blocks.fault).toBeUndefined();
    apply(stored(prompt(2, 16), 16, 0, window));
    expect(blocks.fault).toBe("none of the 64 blocks that it named is of full attention and in its own memory");
    apply(stored(prompt(3, 64), 16, 0, { group: 1, attention: "full_attention" }));
    expect(blocks.fault).toBeUndefined();
  });

  test("of a salt are those of the prompts with this salt, however the client's JSON writes its characters", async () => {
    const { apply, known } = setUp();
    const tokens = prompt(1, 64);
    apply(stored(tokens, 16, 0, { extraKeys: [["Bahnhof Köln"], [], [], []] }));
    for (const text of ['{"cache_salt":"Bahnhof Köln"}', '{"cache_salt":"Bahnhof\\u0020K\\u00f6ln"}']) {
      const body = await readJsonBody(Buffer.from(text));
      const features = new TokenFeatures([{ ids: Uint32Array.from(tokens) }], requestWith({ model: "m" }), body);
      expect([text, [...features.promptBlocks().hashes].every(known)]).toEqual([text, true]);
    }
  });

  test("with a picture, and all behind it, are none of the gateway's prompts; those before it are", () => {
    const { apply, blocks, tokensOf } = setUp();
    const tokens = prompt(1, 128);
    apply(stored(tokens, 16, 0, { extraKeys: [[], [], [], [["picture", 3]], [], [], [], []] }));
    expect([tokensOf(tokens), blocks.blocks]).toEqual([32, 8]);
  });

  test("of other kinds of attention, of further groups and of other sizes are left out and counted", () => {
    const { apply, blocks, tokensOf } = setUp();
    const tokens = prompt(1, 64);
    apply(stored(tokens, 16, 0, { group: 1, attention: "sliding_window" }));
    expect([tokensOf(tokens), blocks.oddities.foreign]).toEqual([0, 4]);
    apply(stored(tokens, 16, 0, { group: 0, attention: "full_attention" }));
    apply(stored(tokens, 16, 0, { group: 2, attention: "full_attention" }));
    apply(stored(prompt(2, 64), 32, 0, { group: 0 }));
    expect([tokensOf(tokens), tokensOf(prompt(2, 64)), blocks.oddities]).toEqual([
      64,
      0,
      { orphans: 0, misfits: 2, foreign: 8 },
    ]);
    apply({ ...removed(tokens, 16, [3, 2, 1, 0]), group: 2 } as CacheEvent);
    expect(tokensOf(tokens)).toBe(64);
  });

  test("that follow an unknown block are counted; many of them are a fault", () => {
    const { apply, blocks, tokensOf } = setUp();
    const tokens = prompt(1, 128);
    apply(stored(tokens, 16, 64));
    expect([tokensOf(tokens), blocks.oddities.orphans, blocks.fault]).toEqual([0, 4, undefined]);
    apply(stored(prompt(2, 1600), 16, 16));
    expect(blocks.fault).toBe("103 of its blocks follow others that it has not named");
    blocks.clear();
    expect([blocks.oddities.orphans, blocks.fault]).toEqual([0, undefined]);
  });

  test("whose tokens and names do not fit are left out", () => {
    const { apply, blocks } = setUp();
    apply({ ...stored(prompt(1, 64), 16), tokens: [1, 2, 3] }, { ...stored(prompt(1, 64), 16), blockTokens: 0 });
    expect([blocks.blocks, blocks.oddities.misfits, blocks.fault]).toEqual([0, 8, undefined]);
  });

  test("of another size than the first one are a fault where they are many, and so are those without their tokens", () => {
    const { apply, blocks, tokensOf } = setUp();
    apply(stored(prompt(1, 64), 16), stored(prompt(2, 63 * 32), 32));
    expect([tokensOf(prompt(2, 64)), blocks.fault]).toEqual([0, undefined]);
    apply(stored(prompt(3, 64), 32));
    expect(blocks.fault).toBe("65 of its blocks do not have the 16 tokens of its first block");
    // Where they are few beside the others, the others count.
    apply(stored(prompt(4, 16 * 1000), 16));
    expect(blocks.fault).toBeUndefined();
    blocks.clear();
    expect(blocks.oddities.misfits).toBe(0);
    apply({ ...stored(prompt(1, 16 * 64), 16), tokens: [1, 2, 3] });
    expect(blocks.fault).toBe("64 of its blocks do not have the tokens that it gives them");
  });

  test("are forgotten when the cache is emptied", () => {
    const { apply, blocks, tokensOf } = setUp();
    apply(stored(prompt(1, 64), 16), { kind: "cleared" });
    expect([tokensOf(prompt(1, 64)), blocks.blocks]).toEqual([0, 0]);
  });

  test("are told once more to an index that has forgotten them, in steps, without those that are gone", () => {
    const { apply, blocks, forget, tokensOf, size } = setUp();
    const tokens = prompt(1, 128);
    apply(stored(tokens, 16), removed(tokens, 16, [7, 6]), ...[2, 3, 4].map((one) => stored(prompt(one, 16_000), 16)));
    const before = size();
    forget();
    const places: number[] = [];
    for (let from: number | undefined = 0; from !== undefined; from = blocks.tellSome(from)) places.push(from);
    expect([tokensOf(tokens), size(), places]).toEqual([96, before, [0, 1024, 2048]]);
  });

  test("that come and go while they are told once more are told as they come and go", () => {
    const { apply, blocks, forget, tokensOf } = setUp();
    const [early, late, later] = [prompt(1, 16_000), prompt(2, 16_000), prompt(3, 64)];
    apply(stored(early, 16), stored(late, 16));
    forget();
    const from = blocks.tellSome(0) ?? 0;
    // The block that completes the last one of the index, in a prompt that was told and in one that was not.
    apply(removed(early, 16, [991]), removed(late, 16, [991]), stored(later, 16));
    expect(blocks.tellSome(from)).toBeUndefined();
    const allButOne = (hashed(early).hashes.length - 1) * 32;
    expect([tokensOf(early), tokensOf(late), tokensOf(later)]).toEqual([allButOne, allButOne, 64]);
    blocks.clear();
    expect(blocks.tellSome(1024)).toBeUndefined();
  });
});

test("an event that names a block twice, or as its own parent, harms no other block", () => {
  const { apply, blocks, tokensOf } = setUp();
  const tokens = prompt(1, 64);
  apply(stored(tokens, 16));
  const [first = 0n] = stored(tokens, 16).keys;
  apply({ ...stored(prompt(2, 32), 16), keys: [first, first] });
  apply({ ...stored(prompt(3, 16), 16), keys: [first], parent: first });
  expect([tokensOf(tokens), blocks.blocks]).toEqual([64, 4]);
  apply({ ...stored(prompt(4, 32), 16), keys: [99, 99] }, { ...stored(prompt(5, 16), 16), keys: [98], parent: 98 });
  expect(tokensOf(tokens)).toBe(64);
  apply(removed(tokens, 16, [3, 2, 1]));
  expect(tokensOf(tokens)).toBe(0);
});

test("memory has a bound: what comes later is not kept, and that is a fault until the cache is emptied", () => {
  const asText = ({ keys, parent, ...rest }: BlocksStored): BlocksStored => ({
    ...rest,
    keys: keys.map((key) => String(key).padEnd(32)),
    parent: parent === undefined ? undefined : String(parent).padEnd(32),
  });
  for (const named of [(event: BlocksStored) => event, asText]) {
    const { apply, blocks } = setUp(200_000);
    for (let one = 0; one < 200; one += 1) apply(named(stored(prompt(one, 256), 16)));
    // What it has set aside is used, but for the half of a key.
    expect([blocks.bytes <= 200_000, blocks.bytes > 150_000]).toEqual([true, true]);
    expect(blocks.fault).toBe("its blocks need more than the 200000 bytes that the gateway keeps for them");
    apply({ kind: "cleared" });
    expect([blocks.bytes, blocks.fault]).toEqual([0, undefined]);
  }
});

test("blocks that are too large for the memory that there is are not kept", () => {
  const { apply, blocks } = setUp(20_000);
  apply(stored(prompt(1, 8192), 8192));
  expect([blocks.blocks, blocks.bytes]).toEqual([0, 0]);
  expect(blocks.fault).toBe("its blocks need more than the 20000 bytes that the gateway keeps for them");
});

test("places of blocks that are gone are used again", () => {
  const { apply, blocks } = setUp();
  for (let one = 0; one < 50; one += 1) {
    const tokens = prompt(one, 1600);
    apply(
      stored(tokens, 16),
      removed(
        tokens,
        16,
        Array.from({ length: 100 }, (_, at) => 99 - at),
      ),
    );
  }
  expect(blocks.blocks).toBe(0);
  expect(blocks.bytes).toBeLessThan(100_000);
});

test("whatever prompts an engine with room for few blocks gets, the index finds what the engine has, to the block", () => {
  const BLOCK = 16;
  const ROOM = 24;
  /** An engine's cache: the end of the prompt that was used longest ago goes first. */
  class Cache {
    readonly lines = new Map<string, readonly number[]>();
    events: CacheEvent[] = [];

    use(tokens: readonly number[]): void {
      const prefixes = Array.from({ length: Math.floor(tokens.length / BLOCK) }, (_, at) =>
        tokens.slice(0, (at + 1) * BLOCK),
      );
      const known = prefixes.filter((prefix) => this.lines.has(prefix.join())).length;
      // From the end on, so that the end is the oldest.
      for (const prefix of prefixes.toReversed()) {
        this.lines.delete(prefix.join());
        this.lines.set(prefix.join(), prefix);
      }
      if (known < prefixes.length) this.events.push(stored(tokens, BLOCK, known * BLOCK));
      for (const [key, prefix] of this.lines) {
        if (this.lines.size <= ROOM) break;
        this.lines.delete(key);
        this.events.push({ kind: "removed", keys: [keyOf(prefix)], tier: "GPU", isRemote: false, group: undefined });
      }
    }

    tokensOf(tokens: readonly number[]): number {
      let length = 0;
      while (this.lines.has(tokens.slice(0, length + BLOCK).join()) && length < tokens.length) length += BLOCK;
      return Math.floor(length / 32) * 32;
    }
  }
  const turn = fc.record({ family: fc.nat(3), blocks: fc.integer({ min: 1, max: 12 }) });
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 40 }), (turns) => {
      const cache = new Cache();
      const { apply, tokensOf } = setUp();
      for (const { family, blocks } of turns) {
        cache.use(prompt(family, blocks * BLOCK));
        apply(...cache.events.splice(0));
        for (let other = 0; other < 4; other += 1) {
          expect(tokensOf(prompt(other, 192))).toBe(cache.tokensOf(prompt(other, 192)));
        }
      }
    }),
  );
});
