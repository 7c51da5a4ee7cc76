import { describe, expect, test } from "bun:test";
import type { AddedToken } from "./bpe/added-tokens.ts";
import { PrefixCache } from "./prefix-cache.ts";
import type { EncodeOptions } from "./tokenizer.ts";

const END: AddedToken = {
  id: 1,
  content: "<end>",
  isSpecial: true,
  isNormalized: false,
  stripsLeft: false,
  stripsRight: false,
  isSingleWord: false,
};

/** Encodes each unit of text as its code, and records the texts that it was called with. */
function setUp(options: { token?: AddedToken; isSplitExact?: boolean; isSync?: boolean } = {}) {
  const asked: string[] = [];
  const encode = (text: string, { addSpecialTokens }: EncodeOptions) => {
    asked.push(text);
    const framed = addSpecialTokens ? `^${text}$` : text;
    const ids = Uint32Array.from(Buffer.from(framed));
    return options.isSync === false ? Promise.resolve(ids) : ids;
  };
  const { token = END, isSplitExact = true } = options;
  return { asked, tokenizer: { encode, addedTokens: [token], isSplitExact } };
}

const turn = (char: string): string => `${char.repeat(300)}<end>`;
const PLAIN = { addSpecialTokens: false };

describe("a conversation that goes on", () => {
  for (const isSync of [true, false]) {
    test(`is encoded from where it is new${isSync ? "" : ", also where encoding takes its time"}`, async () => {
      const { asked, tokenizer } = setUp({ isSync });
      const cache = new PrefixCache(tokenizer, 1e6);
      await cache.encode(turn("a") + turn("b"), PLAIN);
      const ids = await cache.encode(`${turn("a") + turn("b") + turn("c")}d`, PLAIN);
      expect(asked).toEqual([turn("a"), turn("b"), turn("c"), "d"]);
      expect(String.fromCharCode(...ids)).toBe(`${turn("a") + turn("b") + turn("c")}d`);
    });
  }

  test("is framed as the tokenizer frames a text", async () => {
    const { tokenizer } = setUp();
    const ids = await new PrefixCache(tokenizer, 1e6).encode(turn("a") + turn("b"), { addSpecialTokens: true });
    expect(String.fromCharCode(...ids)).toBe(`^${turn("a")}${turn("b")}$`);
  });
});

describe("a text is not cut", () => {
  test("where parts would be treated in a way of their own", async () => {
    for (const options of [
      { isSplitExact: false },
      { token: { ...END, stripsRight: true } },
      { token: { ...END, isNormalized: true } },
    ]) {
      const { asked, tokenizer } = setUp(options);
      await new PrefixCache(tokenizer, 1e6).encode(turn("a") + turn("b"), PLAIN);
      expect(asked).toEqual([turn("a") + turn("b")]);
    }
  });

  test("into parts that are too short to be worth it", async () => {
    const { asked, tokenizer } = setUp();
    const text = "<end>x".repeat(100);
    await new PrefixCache(tokenizer, 1e6).encode(text, PLAIN);
    expect(asked.join("")).toBe(text);
    expect(asked).toHaveLength(3);
  });
});

test("memory is bounded, and what was used last stays", async () => {
  const { asked, tokenizer } = setUp();
  // Each turn takes 2030 bytes.
  const cache = new PrefixCache(tokenizer, 4500);
  for (const char of "abac") await cache.encode(turn(char), PLAIN);
  expect(cache.bytes).toBeLessThanOrEqual(4500);
  asked.length = 0;
  for (const char of "acb") await cache.encode(turn(char), PLAIN);
  expect(asked).toEqual([turn("b")]);
});
