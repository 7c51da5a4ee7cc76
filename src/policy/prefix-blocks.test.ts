import { expect, test } from "bun:test";
import { blockBytesAt, blocksEnd, blocksIn, hashPrompt, MAX_BLOCKS } from "./prefix-blocks.ts";

test("the size of the block that begins where another one ends is the distance to its end", () => {
  for (let block = 0; block < MAX_BLOCKS; block += 1) {
    expect(blockBytesAt(blocksEnd(block))).toBe(blocksEnd(block + 1) - blocksEnd(block));
  }
  expect(blockBytesAt(blocksEnd(MAX_BLOCKS))).toBe(0);
});

test("a prompt has the blocks that end within it", () => {
  for (let block = 0; block <= MAX_BLOCKS; block += 1) {
    const end = blocksEnd(block);
    expect([end, blocksIn(end), blocksIn(end + 1), blocksIn(Math.max(0, end - 1))]).toEqual([
      end,
      block,
      block,
      Math.max(0, block - 1),
    ]);
  }
  expect(blocksIn(1e9)).toBe(MAX_BLOCKS);
});

test("no two of many prompts that differ little have a block's hash in common, nor do they crowd in a part of the hashes", () => {
  const prompt = Buffer.alloc(64 * 1024, "the same words again and again. ");
  const hashes = new Set<number>();
  const sets = new Map<number, number>();
  const last = hashPrompt(prompt).hashes.length - 1;
  for (let change = 0; change < 4096; change += 1) {
    // In blocks that are hashed natively, and in those that are not.
    prompt.writeUInt32LE(change, change % 2 === 0 ? 60_000 : 300);
    const hash = hashPrompt(prompt).hashes[last] ?? 0;
    hashes.add(hash);
    sets.set(hash & 255, (sets.get(hash & 255) ?? 0) + 1);
  }
  expect(hashes.size).toBe(4096);
  // Sixteen of each are to be expected.
  expect(sets.size).toBe(256);
  expect(Math.max(...sets.values())).toBeLessThan(48);
});

test("the hash of a block depends on its whole prefix, in small and in large blocks", () => {
  const prompt = Buffer.alloc(300_000, "some words. ");
  const { hashes } = hashPrompt(prompt);
  for (const at of [0, 5000, 17_000, 70_000, 270_000]) {
    const changed = Buffer.from(prompt);
    changed[at] = (changed[at] ?? 0) ^ 1;
    const first = blocksIn(at);
    expect(hashPrompt(changed).hashes.map((hash, block) => (hash === hashes[block] ? 0 : 1))).toEqual(
      hashes.map((_, block) => (block < first ? 0 : 1)),
    );
  }
  expect(hashPrompt(prompt, 7).hashes.some((hash, block) => hash === hashes[block])).toBe(false);
});
