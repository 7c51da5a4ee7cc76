import { expect, test } from "bun:test";
import { BlockSets, cellsOf, setsFor, UNKNOWN, useCell } from "./block-sets.ts";

const SETS = setsFor(1024);

function createSets(): { sets: BlockSets; cells: Int32Array } {
  const cells = new Int32Array(cellsOf(SETS));
  return { sets: new BlockSets(cells, SETS), cells };
}

function promptOf(blocks: number, first = 1000): Int32Array {
  return Int32Array.from({ length: blocks }, (_, block) => Math.imul(first + block, 0x9e3779b1));
}

test("the known blocks of a prompt are those before the first unknown one, and those behind it are found as well", () => {
  const { sets } = createSets();
  const hashes = promptOf(12);
  for (const [block, hash] of hashes.entries()) if (block !== 5 && block !== 9) sets.take(hash, 1);
  const places = new Int32Array(hashes.length);
  expect(sets.findKnown(hashes, places)).toBe(5);
  sets.findPlaces(hashes, 5, places);
  expect([...places]).toEqual(Array.from(hashes, (hash) => sets.placeOf(hash)));
  expect([...places].map((place) => place === UNKNOWN)).toEqual(
    hashes
      .entries()
      .map(([block]) => block === 5 || block === 9)
      .toArray(),
  );
});

test("a new block takes an empty place of its set, and then that of the block which was used longest ago", () => {
  const { sets, cells } = createSets();
  const ofOneSet = Array.from({ length: 10 }, (_, number) => (number + 1) * SETS * 8);
  const taken = ofOneSet.slice(0, 8).map((key, number) => sets.take(key, 100 + number));
  expect(new Set(taken).size).toBe(8);
  cells[useCell(taken[0] ?? 0)] = 200;
  expect(sets.take(ofOneSet[8] ?? 0, 201)).toBe(taken[1] ?? UNKNOWN);
  expect(sets.placeOf(ofOneSet[0] ?? 0)).toBe(taken[0] ?? UNKNOWN);
  expect(sets.placeOf(ofOneSet[1] ?? 0)).toBe(UNKNOWN);
});
