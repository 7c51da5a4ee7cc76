import { expect, test } from "bun:test";
import { idleCandidate } from "../../../test/support/candidates.ts";
import type { PromptBlocks } from "../../policy/prefix-blocks.ts";
import { SeenPrefixes } from "./seen-prefixes.ts";

/** A prompt of blocks of 32 tokens with these hashes. */
function prompt(...hashes: readonly number[]): PromptBlocks {
  return { hashes: Int32Array.from(hashes), bytes: hashes.length * 128 };
}

const small = { ...idleCandidate(0), kvCapacityTokens: 96 };

test("a worker knows what it was sent, up to the first block that it was not", () => {
  const seen = new SeenPrefixes();
  seen.insert(idleCandidate(3), prompt(1, 2, 3));
  expect(seen.tokens(3, prompt(1, 2, 9))).toBe(64);
  expect(seen.tokens(3, prompt(9, 2, 3))).toBe(0);
  expect(seen.tokens(2, prompt(1, 2))).toBe(0);
  expect([seen.blocks(3, prompt(1, 2, 3)), seen.size(3)]).toEqual([3, 384]);
});

test("what does not fit into its KV cache is dropped: the longest unused first, the end of a prompt before its beginning", () => {
  const seen = new SeenPrefixes();
  seen.insert(small, prompt(1, 2));
  seen.insert(small, prompt(5, 6));
  // 1 and 2 were older, and 2 goes first.
  expect([seen.tokens(0, prompt(1, 2)), seen.tokens(0, prompt(5, 6)), seen.size(0)]).toEqual([32, 64, 384]);
});

test("what is used again stays, and a block counts once", () => {
  const seen = new SeenPrefixes();
  seen.insert(small, prompt(1, 2));
  seen.insert(small, prompt(5));
  seen.insert(small, prompt(1, 2));
  seen.insert(small, prompt(7));
  expect([seen.tokens(0, prompt(1, 2)), seen.tokens(0, prompt(5)), seen.tokens(0, prompt(7))]).toEqual([64, 0, 32]);
});

test("a worker that has left knows nothing", () => {
  const seen = new SeenPrefixes();
  seen.insert(idleCandidate(0), prompt(1));
  seen.forget(0);
  expect([seen.tokens(0, prompt(1)), seen.size(0)]).toEqual([0, 0]);
});
