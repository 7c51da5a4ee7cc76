import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { idleCandidate } from "../../test/support/candidates.ts";
import { HashRing, HashRings } from "./hash-ring.ts";
import type { Candidate } from "./policy.ts";

const fleetOf = (count: number): Candidate[] => Array.from({ length: count }, (_, slot) => idleCandidate(slot));
const KEYS = Array.from({ length: 500 }, (_, key) => Bun.hash.xxHash32(`key ${key}`));
const ownersOf = (ring: HashRing, among: readonly Candidate[]): (string | undefined)[] =>
  KEYS.map((key) => among[ring.ownerOf(key)]?.url);

describe("the ring of a list that lacks some workers", () => {
  test("has the owners that a ring of its own would have, whatever lists came before", () => {
    const some = fc.subarray([...Array(40).keys()], { minLength: 1 });
    fc.assert(
      fc.property(fc.array(some, { minLength: 1, maxLength: 6 }), (lists) => {
        const rings = new HashRings();
        for (const slots of lists) {
          const list = slots.map(idleCandidate);
          expect(ownersOf(rings.of(list), list)).toEqual(ownersOf(HashRing.of(list), list));
        }
      }),
      { numRuns: 40 },
    );
  });

  test("is the whole ring without their points, so that a second attempt builds none", () => {
    const fleet = fleetOf(300);
    const rings = new HashRings();
    const whole = rings.of(fleet);
    const rest = fleet.toSpliced(17, 1);
    const [before, after] = [ownersOf(whole, fleet), ownersOf(rings.of(rest), rest)];
    expect(rings.of(rest).size).toBe(whole.size);
    expect(rings.of(rest)).toBe(rings.of(rest));
    const moved = before.filter((owner, key) => owner !== after[key]);
    expect(moved).toEqual(moved.map(() => fleet[17]?.url));
  });

  test("is built anew where most are missing, where one is new, and where a slot has another worker", () => {
    const fleet = fleetOf(40);
    for (const list of [fleetOf(19), fleetOf(41), fleet.with(3, { ...idleCandidate(3), url: "http://another:1" })]) {
      const rings = new HashRings();
      rings.of(fleet);
      expect(rings.of(list).size).toBe(list.length * 160);
      // It is the whole one now.
      expect(rings.of(list.slice(1)).size).toBe(list.length * 160);
    }
  });

  test("goes on without one worker in a fleet of any size", () => {
    for (const count of [1251, 1981]) {
      const fleet = fleetOf(count);
      const rings = new HashRings();
      const whole = rings.of(fleet);
      expect(rings.of(fleet.slice(1)).size).toBe(whole.size);
    }
  });
});

test("a worker that is added to 8 takes a ninth of the keys, and no key moves between the others", () => {
  const [before, after] = [fleetOf(8), fleetOf(9)];
  const [was, is] = [ownersOf(HashRing.of(before), before), ownersOf(HashRing.of(after), after)];
  const moved = is.filter((owner, key) => owner !== was[key]);
  expect(moved.every((owner) => owner === after[8]?.url)).toBe(true);
  expect(Math.abs(moved.length / KEYS.length - 1 / 9)).toBeLessThan(0.05);
});
