import { expect, test } from "bun:test";
import { ByteBudget } from "./byte-budget.ts";

test("bytes are counted until they are given back, and none beyond the bound", () => {
  const budget = new ByteBudget(100);
  expect([budget.take(60, 0), budget.take(40, 0), budget.take(1, 0), budget.held]).toEqual([true, true, false, 100]);
  budget.giveBack(60);
  expect([budget.take(60, 40), budget.held]).toEqual([true, 100]);
});

test("one that is alone may have more, also bit by bit, and beside others none may", () => {
  const budget = new ByteBudget(100);
  expect([budget.take(90, 0), budget.take(90, 90), budget.held]).toEqual([true, true, 180]);
  expect([budget.take(1, 0), budget.held]).toEqual([false, 180]);
  budget.giveBack(90);
  expect([budget.take(10, 0), budget.take(10, 90), budget.held]).toEqual([true, false, 100]);
});
