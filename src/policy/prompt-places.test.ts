import { expect, test } from "bun:test";
import { BlockSets, cellsOf, setsFor, UNKNOWN } from "./block-sets.ts";
import { NotedPlaces, PromptPlaces } from "./prompt-places.ts";

function createPlaces(): { sets: BlockSets; places: PromptPlaces } {
  const count = setsFor(1024);
  const sets = new BlockSets(new Int32Array(cellsOf(count)), count);
  return { sets, places: new PromptPlaces(sets) };
}

function promptOf(blocks: number): Int32Array {
  return Int32Array.from({ length: blocks }, (_, block) => Math.imul(1000 + block, 0x9e3779b1));
}

test.each([
  [[], 20, 20],
  [[5], 20, 8 + 12],
  [[7], 20, 7],
  [[9], 20, 16 + 4],
  [[15], 20, 15],
  [[11, 15], 20, 11],
  [[17], 20, 17],
  [[3], 6, 3],
  [[0], 1, 0],
])(
  "without the blocks %p of %p, the first %p are known: those of groups whose last block is, and those up to one that is not",
  (missing, blocks, known) => {
    const { sets, places } = createPlaces();
    const hashes = promptOf(blocks);
    for (const [block, hash] of hashes.entries()) if (!missing.includes(block)) sets.take(hash, 1);
    expect(places.match(hashes)).toBe(known);
    const found = Array.from(hashes, (_, block) => places.at(block));
    expect(found).toEqual(Array.from(hashes, (hash) => sets.placeOf(hash)));
    expect(found.map((place) => place === UNKNOWN)).toEqual(Array.from(hashes, (_, block) => missing.includes(block)));
  },
);

test("places are those of a moment ago", () => {
  const { sets, places } = createPlaces();
  const hashes = promptOf(16);
  for (const [block, hash] of hashes.entries()) if (block !== 3 && block !== 14) sets.take(hash, 1);
  expect(places.match(hashes)).toBe(16);
  expect(places.at(3)).toBe(UNKNOWN);
  sets.take(hashes[3] ?? 0, 2);
  expect(places.at(3)).toBe(UNKNOWN);
});

test("what was noted is there again for as long as the ring has it, and is looked for otherwise", () => {
  const { sets, places } = createPlaces();
  const notes = new NotedPlaces();
  const hashes = promptOf(40);
  for (const hash of hashes) sets.take(hash, 1);
  places.match(hashes);
  // No place of the table, so that it shows whether it comes from the note.
  places.put(30, 12_345);
  const note = notes.note(places, 25);
  const found = (from: number): number[] => {
    places.begin(hashes, from, notes, note);
    return Array.from(hashes.subarray(from), (_, block) => places.at(from + block));
  };
  const looked = Array.from(hashes, (hash) => sets.placeOf(hash));
  const noted = looked.with(30, 12_345);
  expect([found(20), found(28)]).toEqual([noted.slice(20), noted.slice(28)]);
  const others = new PromptPlaces(sets);
  others.match(promptOf(100));
  // A note has a cell for the first block's number, and one for each block.
  for (let cells = 16; cells + 101 <= 16_384; cells += 101) notes.note(others, 0);
  expect(found(20)).toEqual(noted.slice(20));
  notes.note(others, 0);
  expect(found(20)).toEqual(looked.slice(20));
});
