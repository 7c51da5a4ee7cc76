import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { FailureBound } from "./failure-bound.ts";

test("so many wrong keys of an address are answered, and then as many as the minute brings", () => {
  const clock = new ManualClock();
  const bound = new FailureBound(6, clock);
  const come = (count: number, address = "1.2.3.4"): number =>
    Array.from({ length: count }, () => bound.isBeyond(address)).filter(Boolean).length;
  expect([come(6), come(5), come(1, "5.6.7.8")]).toEqual([0, 5, 0]);
  clock.advance(20_000);
  expect(come(5)).toBe(3);
});

test("an address that is counted no more begins again, and the memory stays bounded", () => {
  const bound = new FailureBound(1, new ManualClock());
  expect([bound.isBeyond("first"), bound.isBeyond("first")]).toEqual([false, true]);
  for (let address = 0; address < 5000; address += 1) bound.isBeyond(`a${address}`);
  expect(bound.isBeyond("first")).toBe(false);
});

test("without a bound none is beyond it", () => {
  const bound = new FailureBound(Number.POSITIVE_INFINITY, new ManualClock());
  expect(Array.from({ length: 100 }, () => bound.isBeyond("a")).some(Boolean)).toBe(false);
});
