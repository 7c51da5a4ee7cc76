import { expect, test } from "bun:test";
import { BlockSets, cellsOf, GROUP, keyCell, setsFor, UNKNOWN, useCell } from "./block-sets.ts";

const SETS = setsFor(1024);

function createSets(): { sets: BlockSets; cells: Int32Array } {
  const cells = new Int32Array(cellsOf(SETS));
  return { sets: new BlockSets(cells, SETS), cells };
}

function promptOf(blocks: number, first = 1000): Int32Array {
  return Int32Array.from({ length: blocks }, (_, block) => Math.imul(first + block, 0x9e3779b1));
}

function placesOf(sets: BlockSets, hashes: Int32Array): number[] {
  return Array.from(hashes, (hash) => sets.placeOf(hash));
}

test("the known blocks of a prompt are those before the first unknown one, whether that ends a group or is within one", () => {
  for (let known = 0; known <= 3 * GROUP; known += 1) {
    const { sets } = createSets();
    const hashes = promptOf(3 * GROUP + 3);
    for (const hash of hashes.subarray(0, known)) sets.take(hash, 1);
    const places = new Int32Array(hashes.length);
    expect(sets.findKnown(hashes, places)).toBe(known);
    sets.findPlaces(hashes, known, places);
    const all = Array.from(hashes, (_, block) => sets.placeAt(hashes, places, block));
    expect(all).toEqual(placesOf(sets, hashes));
    expect(all.filter((place) => place !== UNKNOWN)).toHaveLength(known);
  }
});

test("a block that was evicted from the middle of a group does not hide those behind it", () => {
  const { sets, cells } = createSets();
  const hashes = promptOf(2 * GROUP);
  for (const hash of hashes) sets.take(hash, 1);
  cells[keyCell(sets.placeOf(hashes[3] ?? 0))] = 77;
  const places = new Int32Array(hashes.length);
  expect(sets.findKnown(hashes, places)).toBe(2 * GROUP);
  expect([2, 3, 4].map((block) => sets.placeAt(hashes, places, block) === UNKNOWN)).toEqual([false, true, false]);
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
