import { expect, test } from "bun:test";
import { systemClock } from "./clock.ts";

test("the recent time is the one that the clock told last", () => {
  const told = systemClock.now();
  expect([systemClock.recent(), systemClock.recent()]).toEqual([told, told]);
  const later = systemClock.now();
  expect(systemClock.recent()).toBe(later);
});
