import { expect, test } from "bun:test";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import { TokenAgreement } from "./token-agreement.ts";

function setUp() {
  const clock = new ManualClock();
  const told: unknown[] = [];
  const agreement = new TokenAgreement(clock, (...counts) => void told.push(counts));
  return {
    clock,
    told,
    agreement,
    note: (times: number, ours: number, theirs: number | undefined) => {
      for (let one = 0; one < times; one += 1) agreement.note("m", ours, theirs);
    },
  };
}

test("a model whose counts differ in most of its requests is found, told once, and left alone for five minutes", () => {
  const { agreement, clock, note, told } = setUp();
  note(8, 10, 11);
  expect(agreement.differs("m")).toBe(false);
  note(3, 10, 11);
  expect([agreement.differs("m"), agreement.differs("other")]).toEqual([true, false]);
  expect(told).toEqual([["m", 10, 11]]);
  clock.advance(299_999);
  expect(agreement.differs("m")).toBe(true);
  clock.advance(1);
  expect(agreement.differs("m")).toBe(false);
});

test("a few requests that differ, and engines that tell no counts, change nothing", () => {
  const { agreement, note, told } = setUp();
  for (let round = 0; round < 20; round += 1) {
    note(8, 10, 11);
    note(8, 10, 10);
  }
  note(100, 10, undefined);
  expect([agreement.differs("m"), told]).toEqual([false, []]);
});
