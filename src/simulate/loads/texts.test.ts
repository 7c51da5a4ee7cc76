import { expect, test } from "bun:test";
import fc from "fast-check";
import { hashPrompt } from "../../policy/prefix-blocks.ts";
import { SimFeatures } from "../driver-request.ts";
import type { Prompt, Segment } from "./load.ts";
import { Texts } from "./texts.ts";

const segment = (id: number, tokens: number): Segment => ({ id, tokens });
const promptOf = (segments: readonly Segment[], bytesPerToken = 4): Prompt => ({
  segments,
  tokens: segments.reduce((sum, { tokens }) => sum + tokens, 0),
  bytesPerToken,
});

/** Prompts of a few segments whose lengths belong to their ids. */
const PROMPT = fc
  .array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 5 })
  .map((ids) => promptOf(ids.map((id) => segment(id, id * 37))));

/** How many numbers two lists have in common before they differ. */
function common(one: ArrayLike<number>, other: ArrayLike<number>): number {
  let same = 0;
  while (same < Math.min(one.length, other.length) && one[same] === other[same]) same += 1;
  return same;
}

/** Tokens that two prompts have in common, by their segments. */
function commonTokens(one: Prompt, other: Prompt): number {
  let tokens = 0;
  for (const [index, { id, tokens: length }] of one.segments.entries()) {
    if (other.segments[index]?.id !== id) break;
    tokens += length;
  }
  return tokens;
}

test("two prompts share the blocks of a cache that lie within their common text, and no others", () => {
  fc.assert(
    fc.property(PROMPT, PROMPT, (one, other) => {
      const texts = new Texts();
      const shared = common(texts.blocksOf(one, undefined, 16), texts.blocksOf(other, undefined, 16));
      expect(shared).toBe(Math.floor(commonTokens(one, other) / 16));
    }),
  );
});

test("a gateway's blocks of two prompts are equal as far as those of their bytes would be", () => {
  fc.assert(
    fc.property(PROMPT, PROMPT, (one, other) => {
      const texts = new Texts();
      const [a, b] = [one, other].map((prompt) => new SimFeatures(prompt, 1, true, texts));
      const byText = common(a?.promptBlocks().hashes ?? [], b?.promptBlocks().hashes ?? []);
      const byBytes = common(
        hashPrompt(a?.promptBytes() ?? new Uint8Array()).hashes,
        hashPrompt(b?.promptBytes() ?? new Uint8Array()).hashes,
      );
      expect(byText).toBe(byBytes);
      expect(a?.promptBlocks().bytes).toBe(a?.promptBytes().length ?? 0);
    }),
  );
});

test("the blocks of an answer are those of the later prompt that holds it", () => {
  const texts = new Texts();
  const [system, question, answer, next] = [segment(1, 100), segment(2, 30), segment(3, 90), segment(4, 50)];
  const first = texts.blocksOf(promptOf([system, question]), answer, 16);
  const later = texts.blocksOf(promptOf([system, question, answer, next]), undefined, 16);
  expect(common(first, later)).toBe(Math.floor(220 / 16));
});

test("numbers stay what they are when many more texts come", () => {
  const texts = new Texts();
  const before = texts.blocksOf(promptOf([segment(1, 1600)]), undefined, 16);
  for (let id = 2; id < 200; id += 1) texts.blocksOf(promptOf([segment(id, 1600)]), undefined, 16);
  expect(texts.blocksOf(promptOf([segment(1, 1600)]), undefined, 16)).toEqual(before);
  expect(texts.blocks).toBe(100 * 199);
});

test("a text with more bytes a token has more of the gateway's blocks and the same blocks of a cache", () => {
  const texts = new Texts();
  const [plain, wide] = [promptOf([segment(1, 640)], 2.5), promptOf([segment(1, 640)], 5)];
  expect(texts.promptBlocksOf(plain).hashes).toHaveLength(Math.floor(1600 / 128));
  expect(texts.promptBlocksOf(wide).hashes).toHaveLength(Math.floor(3200 / 128));
  expect(texts.blocksOf(plain, undefined, 16)).toEqual(texts.blocksOf(wide, undefined, 16));
});
