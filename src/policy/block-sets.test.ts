import { expect, test } from "bun:test";
import fc from "fast-check";
import { BlockSets, cellsOf, entryCell, keyCell, numberOf, placesOf, setsFor, UNKNOWN, useCell } from "./block-sets.ts";

const SETS = setsFor(1024);

function createSets(sets = SETS): { sets: BlockSets; cells: Int32Array } {
  const cells = new Int32Array(cellsOf(sets));
  return { sets: new BlockSets(cells, sets), cells };
}

test("a block has the place that it took until another takes it, and to touch sets changes nothing", () => {
  // Few sets, so that blocks push each other out.
  const keys = fc.array(fc.integer({ min: 1, max: 200 }));
  fc.assert(
    fc.property(keys, keys, (taken, asked) => {
      const { sets, cells } = createSets(8);
      const owners = new Map<number, number>();
      for (const [time, key] of taken.entries()) if (sets.placeOf(key) < 0) owners.set(sets.take(key, time + 1), key);
      const placesBy = new Map([...owners].map(([place, key]) => [key, place]));
      const before = cells.slice();
      const hashes = Int32Array.from([...taken, ...asked]);
      sets.touch(hashes, 0, hashes.length);
      expect(cells).toEqual(before);
      expect(Array.from(hashes, (key) => sets.placeOf(key))).toEqual(
        Array.from(hashes, (key) => placesBy.get(key) ?? UNKNOWN),
      );
    }),
  );
});

test("each key has a set, and each place of a set cells and a number of its own", () => {
  const { sets } = createSets(8);
  const places = new Set<number>();
  const used = new Set<number>();
  for (let key = 1; used.size < 8 * 15 && key < 5000; key += 1) {
    const place = sets.take(Math.imul(key, 0x9e3779b1), key);
    places.add(numberOf(place));
    for (const cell of [keyCell(place), useCell(place), entryCell(place)]) used.add(cell);
  }
  expect([used.size, Math.max(...used) < cellsOf(8)]).toEqual([8 * 15, true]);
  expect([...places].sort((a, b) => a - b)).toEqual(Array.from({ length: placesOf(8) }, (_, number) => number));
});

test("a new block takes an empty place of its set, and then that of the block which was used longest ago", () => {
  const { sets, cells } = createSets();
  const ofOneSet = Array.from({ length: 7 }, (_, number) => (number + 1) * SETS);
  const taken = ofOneSet.slice(0, 5).map((key, number) => sets.take(key, 1000 + 16 * number));
  expect(new Set(taken).size).toBe(5);
  cells[useCell(taken[0] ?? 0)] = 2000;
  expect(sets.take(ofOneSet[5] ?? 0, 2001)).toBe(taken[1] ?? UNKNOWN);
  expect(sets.placeOf(ofOneSet[0] ?? 0)).toBe(taken[0] ?? UNKNOWN);
  expect(sets.placeOf(ofOneSet[1] ?? 0)).toBe(UNKNOWN);
});
