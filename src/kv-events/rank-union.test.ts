import { expect, test } from "bun:test";
import { RankUnion } from "./rank-union.ts";

function setUp() {
  const held = new Map<string, Set<number>>();
  const of = (lora = ""): Set<number> => {
    const known = held.get(lora) ?? new Set<number>();
    held.set(lora, known);
    return known;
  };
  const union = new RankUnion({
    stored: (lora, hashes) => hashes.forEach((hash) => of(lora).add(hash)),
    removed: (lora, hashes) => hashes.forEach((hash) => of(lora).delete(hash)),
    cleared: () => held.clear(),
  });
  return { union, of: (lora?: string): number[] => [...of(lora)].sort((a, b) => a - b) };
}

test("a block counts while any rank holds it, each adapter for itself", () => {
  const { union, of } = setUp();
  const ranks = [union.of(0), union.of(30)] as const;
  ranks[0].stored(undefined, Int32Array.of(1, 2));
  ranks[1].stored(undefined, Int32Array.of(2, 3));
  ranks[1].stored("sql", Int32Array.of(2));
  expect([of(), of("sql"), union.bytes]).toEqual([[1, 2, 3], [2], 4 * 48]);
  ranks[0].removed(undefined, Int32Array.of(1, 2, 9));
  expect(of()).toEqual([2, 3]);
  ranks[1].removed(undefined, Int32Array.of(2));
  expect([of(), of("sql")]).toEqual([[3], [2]]);
});

test("a rank whose cache was emptied takes away what no other holds", () => {
  const { union, of } = setUp();
  union.of(0).stored(undefined, Int32Array.of(1, 2));
  union.of(1).stored(undefined, Int32Array.of(2, 3));
  union.of(1).stored("sql", Int32Array.of(5));
  union.of(1).cleared();
  expect([of(), of("sql")]).toEqual([[1, 2], []]);
  union.of(0).cleared();
  expect([of(), union.bytes]).toEqual([[], 0]);
});
