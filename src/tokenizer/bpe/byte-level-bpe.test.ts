import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { TokenFinder, type AddedToken } from "./added-tokens.ts";
import { BpeMerger, buildMerges, type Merge } from "./bpe-merger.ts";
import { planBpe } from "./bpe-plan.ts";
import { bytesOfToken, CHAR_OF_BYTE } from "./byte-alphabet.ts";
import { ByteLevelBpe } from "./byte-level-bpe.ts";
import { translatePattern } from "./split-pattern.ts";
import { buildVocabulary, Vocabulary } from "./vocabulary.ts";

function added(id: number, content: string, more: Partial<AddedToken> = {}): AddedToken {
  const plain = { isSpecial: true, isNormalized: false, stripsLeft: false, stripsRight: false, isSingleWord: false };
  return { id, content, ...plain, ...more };
}

/** Bytes are their own ids; each merge is the next id from 256 on. */
function merger(pairs: readonly (readonly [left: number, right: number])[]): BpeMerger {
  const merges = pairs.map(([left, right], rank): Merge => ({ left, right, merged: 256 + rank }));
  return new BpeMerger(
    buildMerges(
      merges,
      Array.from({ length: 256 }, (_, byte) => byte),
    ),
  );
}

function merge(bpe: BpeMerger, bytes: Uint8Array): number[] {
  const out = new Uint32Array(bytes.length);
  return [...out.subarray(0, bpe.merge(bytes, bytes.length, out, 0))];
}

describe("merges", () => {
  test("happen by rank, and of equal ranks from the left", () => {
    const [a, b, c] = [97, 98, 99];
    const bpe = merger([
      [b, c],
      [a, b],
      [a, 256],
    ]);
    expect(merge(bpe, Buffer.from("abc"))).toEqual([258]);
    expect(merge(bpe, Buffer.from("abab"))).toEqual([257, 257]);
    expect(merge(merger([[a, a]]), Buffer.from("aaa"))).toEqual([256, a]);
    expect(merge(bpe, new Uint8Array(0))).toEqual([]);
  });

  test("are those that trying every pair each time finds", () => {
    const symbol = fc.nat(7).map((index) => (index < 3 ? 97 + index : 256 + index - 3));
    const pairs = fc.uniqueArray(fc.tuple(symbol, symbol), { selector: String, maxLength: 8 });
    // A merge can only be of what there is already.
    const sound = pairs.map((pairs) => pairs.filter(([left, right], rank) => Math.max(left, right) < 256 + rank));
    const property = fc.property(
      sound,
      fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 40 }),
      (pairs, text) => {
        let ids = [...Buffer.from(text)];
        for (;;) {
          const ranks = ids
            .slice(1)
            .map((right, at) => pairs.findIndex((pair) => pair[0] === ids[at] && pair[1] === right));
          const best = Math.min(...ranks.filter((rank) => rank >= 0));
          if (best === Infinity) break;
          const at = ranks.indexOf(best);
          ids = [...ids.slice(0, at), 256 + best, ...ids.slice(at + 2)];
        }
        expect(merge(merger(pairs), Buffer.from(text))).toEqual(ids);
      },
    );
    fc.assert(property, { numRuns: 500 });
  });

  test("of a very long word take little more than its length", () => {
    // Two letters make one symbol, two of those the next, up to one of 4096.
    const bpe = merger([[97, 97], ...Array.from({ length: 11 }, (_, rank) => [256 + rank, 256 + rank] as const)]);
    const from = performance.now();
    expect(merge(bpe, Buffer.alloc(4096 * 100 + 5, "a"))).toEqual([...Array.from({ length: 100 }, () => 267), 257, 97]);
    expect(performance.now() - from).toBeLessThan(2000);
  });
});

describe("added tokens", () => {
  const finder = new TokenFinder([added(1, "<a>"), added(2, "<a><b>"), added(3, "b")]);
  const all = (text: string): [number, number, number][] => {
    const found: [number, number, number][] = [];
    for (let at = 0; finder.next(text, at); at = finder.end) found.push([finder.start, finder.end, finder.id]);
    return found;
  };

  test("are found leftmost, and of those the longest", () => {
    expect(all("x<a><b>y<a>b")).toEqual([
      [1, 7, 2],
      [8, 11, 1],
      [11, 12, 3],
    ]);
    expect(all("<a")).toEqual([]);
    expect(new TokenFinder([]).next("x", 0)).toBe(false);
  });
});

describe("the alphabet of bytes", () => {
  test("goes there and back", () => {
    expect([...(bytesOfToken(String.fromCharCode(...CHAR_OF_BYTE)) ?? [])]).toEqual(
      Array.from({ length: 256 }, (_, byte) => byte),
    );
    expect(new Set(CHAR_OF_BYTE).size).toBe(256);
    expect(bytesOfToken("｜")).toBeUndefined();
    expect([...(bytesOfToken("ĠaĊ") ?? [])]).toEqual([32, 97, 10]);
  });
});

describe("a pattern", () => {
  const matches = (pattern: string, text: string) => text.match(new RegExp(translatePattern(pattern) ?? "(?!)", "gu"));

  test("keeps its meaning where JavaScript writes it otherwise", () => {
    expect(matches("\\s+", "a\u0085\u3000b")).toEqual(["\u0085\u3000"]);
    expect(matches("\\s", "\ufeff")).toBeNull();
    expect(matches("[^\\s\\p{L}]+", "a\ufeff-\u00a0")).toEqual(["\ufeff-"]);
    expect(matches("\\s+(?!\\S)|\\s+", "  a")).toEqual([" ", " "]);
    expect(matches("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]", "-]\\^a")).toEqual(["-", "]", "\\", "^"]);
    expect(matches("(?i:'s|'t)|\\p{N}{1,3}", "'S1234'ſ")).toEqual(["'S", "123", "4", "'ſ"]);
    expect(matches("\\'\\-\\d", "'-٣")).toEqual(["'-٣"]);
  });

  test("is left to the native tokenizer where it may have another", () => {
    for (const pattern of [
      "a++",
      "a?+",
      "^a",
      "a$",
      "a.b",
      "\\h",
      "\\G",
      "[a[b]]",
      "[a&&b]",
      "[^\\S]",
      "\\p{Han}",
      "\\p{^L}",
      "(a",
    ]) {
      expect([pattern, translatePattern(pattern)]).toEqual([pattern, undefined]);
    }
  });
});

describe("a tokenizer.json", () => {
  const vocab = Object.fromEntries(Array.from(CHAR_OF_BYTE, (char, byte) => [String.fromCharCode(char), byte]));
  const model = {
    type: "BPE",
    vocab: { ...vocab, ab: 256, Ġab: 257 },
    merges: ["a b", ["Ġ", "ab"]],
  };
  const json = { model, pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true } };

  function encoder(tokens: readonly AddedToken[], more: Record<string, unknown> = {}): ByteLevelBpe {
    const result = planBpe({ ...json, ...more }, tokens);
    if (!result.ok) throw new Error(result.reason);
    const names = Object.fromEntries(tokens.map((token) => [token.content, token.id]));
    return new ByteLevelBpe(result.plan, new Vocabulary(buildVocabulary({ ...model.vocab, ...names })), tokens);
  }

  test("makes an encoder", () => {
    const bpe = encoder([added(300, "<s>")]);
    expect([...bpe.encode("ab ab<s>", false)]).toEqual([256, 257, 300]);
    expect([...bpe.encode("", false)]).toEqual([]);
    expect([...bpe.encode("\ud800", false)]).toEqual([0xef, 0xbf, 0xbd]);
  });

  test("may have tokens that take white space with them, or stand in normalised text", () => {
    const greedy = encoder([added(300, "<s>", { stripsLeft: true, stripsRight: true })]);
    expect([...greedy.encode("a \n<s>\u00a0 <s> b", false)]).toEqual([97, 300, 300, 98]);
    const normalized = encoder([added(300, "e\u0301", { isNormalized: true })], { normalizer: { type: "NFC" } });
    expect([...normalized.encode("a\u00e9", false)]).toEqual([97, 300]);
  });

  test("that take white space before them look at each character of it once", () => {
    const bpe = encoder([added(300, "<s>", { stripsLeft: true })]);
    const least = (length: number): number => {
      const text = `${`${" ".repeat(length)}x`.repeat(2)}<s>`;
      const times = Array.from({ length: 5 }, () => {
        const from = performance.now();
        bpe.encode(text, false);
        return performance.now() - from;
      });
      return Math.min(...times);
    };
    least(4000);
    // 4 times the square would be 64 times; the least of several times is not the machine's.
    expect(least(32_000)).toBeLessThan(Math.max(1, least(4000)) * 24);
  });

  test("may frame a text with special tokens", () => {
    const special = { id: "<s>", ids: [300], tokens: ["<s>"] };
    const post_processor = {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>" } }, { Sequence: { id: "A" } }, { SpecialToken: { id: "<s>" } }],
      special_tokens: { "<s>": special },
    };
    const bpe = encoder([added(300, "<s>")], { post_processor });
    expect([...bpe.encode("a", true)]).toEqual([300, 97, 300]);
    expect([...bpe.encode("a", false)]).toEqual([97]);
  });

  const others: Record<string, Record<string, unknown>> = {
    "another model": { model: { type: "Unigram" } },
    "unknown tokens": { model: { ...model, unk_token: "<unk>" } },
    "a vocabulary without all bytes": { model: { ...model, vocab: { a: 0 } } },
    "a merge of nothing known": { model: { ...model, merges: ["q q"] } },
    "another normaliser": { normalizer: { type: "Lowercase" } },
    "a space before each text": { pre_tokenizer: { type: "ByteLevel", add_prefix_space: true } },
    "no bytes": { pre_tokenizer: { type: "Whitespace" } },
    "another post-processor": { post_processor: { type: "BertProcessing" } },
  };
  for (const [name, more] of Object.entries(others)) {
    test(`with ${name} is left to the native tokenizer`, () => {
      expect(planBpe({ ...json, ...more }, []).ok).toBe(false);
    });
  }
});

describe("a vocabulary", () => {
  const vocabulary = new Vocabulary(buildVocabulary({ a: 0, 你: 5, bc: 3 }));

  test("finds tokens by id and ids by token, with gaps", () => {
    expect([0, 1, 3, 5, 6, -1, 0.5].map((id) => vocabulary.tokenOf(id))).toEqual([
      "a",
      undefined,
      "bc",
      "你",
      undefined,
      undefined,
      undefined,
    ]);
    expect(["a", "bc", "你", "b", ""].map((token) => vocabulary.idOf(token))).toEqual([0, 3, 5, undefined, undefined]);
    expect([vocabulary.size, vocabulary.idBound, vocabulary.has(1), vocabulary.has(5)]).toEqual([3, 6, false, true]);
  });
});
