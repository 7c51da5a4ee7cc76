import { describe, expect, test } from "bun:test";
import { candidates as fleetWith } from "../../test/support/candidates.ts";
import { Compared } from "./compared.ts";
import type { Candidate } from "./policy.ts";
import { hashPrompt } from "./prefix-blocks.ts";
import { PrefixIndex, prefixIndexBytes } from "./prefix-index.ts";

const MIB = 1024 * 1024;
const PROMPT = hashPrompt(Buffer.alloc(4096, "a long system prompt. "));

/** Draws these numbers in turn, each a place among `count` candidates. */
function drawing(count: number, ...places: readonly number[]): () => number {
  let draw = 0;
  return () => ((places[draw++ % places.length] ?? 0) + 0.5) / count;
}

function createIndex(...owners: readonly number[]): PrefixIndex {
  const index = new PrefixIndex(MIB, new SharedArrayBuffer(prefixIndexBytes(MIB)));
  for (const slot of owners) {
    index.match(PROMPT);
    index.insert(slot);
  }
  return index;
}

function createCompared(index: PrefixIndex, random: () => number = Math.random): Compared {
  return new Compared({ index, random, mostOfAll: 32, sample: 16 });
}

function fleetOf(count: number): Candidate[] {
  return fleetWith(...Array.from({ length: count }, () => 0));
}

/** The candidates that are compared for the prompt, by their indexes. */
function chosenFor(compared: Compared, index: PrefixIndex, fleet: readonly Candidate[], isShown = false): number[] {
  index.match(PROMPT);
  return Array.from({ length: compared.choose(fleet, isShown) }, (_, number) => compared.at(number));
}

describe("of a small fleet", () => {
  test("all are compared, beginning at another one each time", () => {
    const index = createIndex();
    const compared = createCompared(index);
    const fleet = fleetOf(4);
    expect([1, 2, 3, 4, 5].map(() => chosenFor(compared, index, fleet))).toEqual([
      [1, 2, 3, 0],
      [2, 3, 0, 1],
      [3, 0, 1, 2],
      [0, 1, 2, 3],
      [1, 2, 3, 0],
    ]);
  });

  test("none is compared where there is none", () => {
    const index = createIndex();
    expect(chosenFor(createCompared(index), index, [])).toEqual([]);
  });
});

describe("of a large fleet", () => {
  test("eight that have the prompt are compared, and others at random, none of them twice", () => {
    const owners = [900, 901, 902, 903, 904, 905, 906, 907, 908, 909];
    const index = createIndex(...owners);
    const compared = createCompared(index, drawing(1000, 5, 900, 5, 6, 7, 8, 9, 10));
    const chosen = chosenFor(compared, index, fleetOf(1000));
    expect(new Set(chosen).size).toBe(chosen.length);
    expect(chosen.slice(0, 8).every((place) => owners.includes(place))).toBe(true);
    expect(chosen.slice(8).filter((place) => place < 900)).toEqual([5, 6, 7, 8, 9, 10]);
  });

  test("those at random make up for owners that there are not", () => {
    const index = createIndex(900, 901);
    const compared = createCompared(index, drawing(1000, ...Array.from({ length: 14 }, (_, draw) => draw)));
    const chosen = chosenFor(compared, index, fleetOf(1000));
    expect(chosen.slice(0, 2).toSorted((a, b) => a - b)).toEqual([900, 901]);
    expect(chosen.slice(2)).toEqual(Array.from({ length: 14 }, (_, draw) => draw));
  });

  test("an owner that is not a candidate now gives its place to the next one", () => {
    const index = createIndex(...Array.from({ length: 20 }, (_, slot) => slot));
    const compared = createCompared(index, drawing(988, 500));
    // The slots from 0 to 11 belong to workers that cannot take a request.
    const fleet = fleetOf(1000).slice(12);
    expect(chosenFor(compared, index, fleet).toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 500]);
  });

  test("those that were shown are the ones that the next choice compares", () => {
    const index = createIndex(3, 4);
    const compared = createCompared(index, drawing(100, ...Array.from({ length: 80 }, (_, draw) => draw + 10)));
    const fleet = fleetOf(100);
    const shown = chosenFor(compared, index, fleet, true);
    expect(chosenFor(compared, index, fleet)).toEqual(shown);
    expect(chosenFor(compared, index, fleet)).not.toEqual(shown);
  });
});
