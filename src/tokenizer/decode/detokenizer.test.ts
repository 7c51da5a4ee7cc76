import { describe, expect, test } from "bun:test";
import type { DecoderPlan } from "./decoder-plan.ts";
import { readDecoder } from "./decoder-plan.ts";
import { Detokenizer, TokenPieces, type DetokenizerOptions } from "./detokenizer.ts";
import { buildVocabulary, Vocabulary } from "../bpe/vocabulary.ts";

const WHOLE: DetokenizerOptions = { skipSpecialTokens: true, isWholeText: true };
const BYTE_LEVEL: DecoderPlan = { kind: "byte-level" };
const METASPACE = readDecoder({ type: "Metaspace", replacement: "▁", prepend_scheme: "always" });
const LLAMA = readDecoder({
  type: "Sequence",
  decoders: [
    { type: "Replace", pattern: { String: "▁" }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
    { type: "Strip", content: " ", start: 1, stop: 0 },
  ],
});

/** A detokenizer over a vocabulary of just these tokens; id 0 is special. */
function detokenizer(plan: DecoderPlan | undefined, tokens: readonly string[], options = WHOLE): Detokenizer {
  if (!plan) throw new Error("no plan");
  const vocabulary = new Vocabulary(buildVocabulary(Object.fromEntries(tokens.map((token, id) => [token, id]))));
  return new Detokenizer(new TokenPieces(vocabulary, plan, new Set([0])), options);
}

function each(detokenizer: Detokenizer, ids: readonly number[]): string[] {
  return [...ids.map((id) => detokenizer.push([id])), detokenizer.flush()];
}

describe("byte-level tokens", () => {
  // 你 is E4 BD A0; 😀 is F0 9F 98 80.
  const tokens = ["<s>", "Ġhi", "ä½", "ł", "ðŁ", "ĺ", "Ģ", "ł!", "½"];

  test("give text, and hold a character back until it is whole", () => {
    expect(each(detokenizer(BYTE_LEVEL, tokens), [1, 2, 3, 4, 5, 6])).toEqual([" hi", "", "你", "", "", "😀", ""]);
    expect(detokenizer(BYTE_LEVEL, tokens).push([1, 2, 7])).toBe(" hi你!");
  });

  test("give one U+FFFD for a sequence that is never completed", () => {
    expect(each(detokenizer(BYTE_LEVEL, tokens), [2, 1])).toEqual(["", "\ufffd hi", ""]);
    expect(each(detokenizer(BYTE_LEVEL, tokens), [4, 5])).toEqual(["", "", "\ufffd"]);
    expect(each(detokenizer(BYTE_LEVEL, tokens), [3])).toEqual(["\ufffd", ""]);
  });

  test("that are special are skipped or shown; ids that are none are skipped", () => {
    expect(detokenizer(BYTE_LEVEL, tokens).push([0, 1, 99, -1, 0.5])).toBe(" hi");
    expect(detokenizer(BYTE_LEVEL, tokens, { skipSpecialTokens: false }).push([0, 1])).toBe("<s> hi");
  });

  test("do not lose a byte-order mark", () => {
    expect(detokenizer(BYTE_LEVEL, ["<s>", "ï»¿a"]).push([1])).toBe("\ufeffa");
  });
});

describe("pieces of words", () => {
  const tokens = ["<s>", "▁Hello", "▁", "<0xE4>", "<0xBD>", "<0xA0>", "x"];

  test("begin a whole text without their space, and go on behind a prompt with it", () => {
    for (const plan of [METASPACE, LLAMA]) {
      expect(each(detokenizer(plan, tokens), [0, 1, 1])).toEqual(["", "Hello", " Hello", ""]);
      expect(detokenizer(plan, tokens).push([2, 1])).toBe(" Hello");
      expect(detokenizer(plan, tokens, { skipSpecialTokens: true }).push([1, 1])).toBe(" Hello Hello");
      expect(detokenizer(plan, tokens, { skipSpecialTokens: false, isWholeText: true }).push([0, 1])).toBe("<s> Hello");
    }
  });

  test("fall back to bytes, which make characters", () => {
    expect(each(detokenizer(LLAMA, tokens), [3, 4, 5, 6])).toEqual(["", "", "你", "x", ""]);
    expect(each(detokenizer(LLAMA, tokens), [3, 4, 6, 3])).toEqual(["", "", "\ufffdx", "", "\ufffd"]);
    expect(detokenizer(METASPACE, tokens).push([3])).toBe("<0xE4>");
  });
});

test("decoders that need more than a token at a time are not read", () => {
  expect(readDecoder({ type: "WordPiece", prefix: "##", cleanup: true })).toBeUndefined();
  expect(
    readDecoder({ type: "Sequence", decoders: [{ type: "Fuse" }, { type: "Strip", content: " ", start: 0, stop: 1 }] }),
  ).toBeUndefined();
  expect(readDecoder(null)).toBeUndefined();
});
