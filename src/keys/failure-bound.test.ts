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

test("a look at an address counts nothing, and says whether its next wrong key is beyond the bound", () => {
  const clock = new ManualClock();
  const bound = new FailureBound(2, clock);
  expect([bound.isUsedUp("a"), bound.isBeyond("a"), bound.isUsedUp("a"), bound.isBeyond("a")]).toEqual([
    false,
    false,
    false,
    false,
  ]);
  expect([bound.isUsedUp("a"), bound.isUsedUp("a"), bound.isUsedUp("b")]).toEqual([true, true, false]);
  clock.advance(30_000);
  expect([bound.isUsedUp("a"), bound.isBeyond("a"), bound.isBeyond("a")]).toEqual([false, false, true]);
});

test("it is a flood from the first wrong key beyond the bound until ten seconds after the last, or until the bound is changed", () => {
  const clock = new ManualClock();
  const bound = new FailureBound(1, clock);
  const isFlooded = (): boolean => bound.isFlooded;
  bound.isBeyond("a");
  expect(isFlooded()).toBe(false);
  bound.isBeyond("a");
  clock.advance(9999);
  expect(isFlooded()).toBe(true);
  bound.isBeyond("a");
  clock.advance(9999);
  expect(isFlooded()).toBe(true);
  clock.advance(1);
  expect(isFlooded()).toBe(false);
  bound.isBeyond("b");
  bound.isBeyond("b");
  expect(isFlooded()).toBe(true);
  bound.replace(5);
  expect([isFlooded(), bound.isUsedUp("b")]).toEqual([false, false]);
});

test("new tokens are verified as they come, but of all addresses whose wrong keys are used up twenty a second, one by one", () => {
  const clock = new ManualClock();
  const bound = new FailureBound(1, clock);
  const verified = (address: string, count = 150): number =>
    Array.from({ length: count }, () => bound.mayVerify(address)).filter(Boolean).length;
  expect(verified("a")).toBe(150);
  bound.isBeyond("a");
  bound.isBeyond("b");
  expect([verified("a"), verified("b"), verified("c")]).toEqual([1, 0, 150]);
  clock.advance(49);
  expect(verified("b")).toBe(0);
  clock.advance(1);
  expect([verified("b"), verified("a")]).toEqual([1, 0]);
});

test("the addresses of one IPv6 network of 64 bits are counted together, and those of IPv4 each by itself", () => {
  const same: readonly (readonly [string, string, boolean])[] = [
    ["2001:db8:0:1::1", "2001:db8:0:1:ffff:2:3:4", true],
    ["2001:db8::1", "2001:db8:0:0:5::", true],
    ["2001:db8:0:1::1", "2001:db8:0:2::1", false],
    ["2001:db8::1:0:0:0:1", "2001:db8:0:1::9", true],
    ["2001:db8::1:0:0:1", "2001:db8:0:1::9", false],
    ["::1", "::2", true],
    ["10.0.0.1", "10.0.0.2", false],
    ["::ffff:10.0.0.1", "::ffff:10.0.0.2", false],
  ];
  for (const [one, other, isSame] of same) {
    const bound = new FailureBound(1, new ManualClock());
    bound.isBeyond(one);
    expect([one, other, bound.isUsedUp(other)]).toEqual([one, other, isSame]);
  }
});

test("without a bound none is beyond it", () => {
  const bound = new FailureBound(Number.POSITIVE_INFINITY, new ManualClock());
  expect(Array.from({ length: 100 }, () => bound.isBeyond("a")).some(Boolean)).toBe(false);
});
