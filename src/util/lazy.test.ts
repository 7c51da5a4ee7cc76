import { expect, test } from "bun:test";
import { lazy } from "./lazy.ts";

test("a lazy value is made once, at its first use", () => {
  let count = 0;
  const value = lazy(() => ({ number: (count += 1) }));
  expect(count).toBe(0);
  expect(value()).toBe(value());
  expect(count).toBe(1);
});

test("a value that could not be made is made at the next use", () => {
  let isBroken = true;
  const value = lazy(() => {
    if (isBroken) throw new Error("not yet");
    return { isMade: true };
  });
  expect(value).toThrow("not yet");
  isBroken = false;
  expect(value()).toEqual({ isMade: true });
});
