import { expect, test } from "bun:test";
import { PrefixCache } from "./prefix-cache.ts";

/** 16 tokens of prompt that begin with this letter. */
const block = (letter: string): string => letter.repeat(64);
const prompt = (...letters: string[]): Uint8Array => Buffer.from(letters.map(block).join(""));

test("a prompt is cached as far as an earlier one began alike, in whole blocks", () => {
  const cache = new PrefixCache(1000);
  expect(cache.use(prompt("a", "b"))).toBe(0);
  expect(cache.use(prompt("a", "b"))).toBe(32);
  expect(cache.use(prompt("a", "c"))).toBe(16);
  expect(cache.use(Buffer.from(block("a") + "a".repeat(63)))).toBe(16);
  expect(cache.use(Buffer.from("a"))).toBe(0);
});

test("a block counts with all that stands before it only", () => {
  const cache = new PrefixCache(1000);
  cache.use(prompt("a", "b"));
  expect(cache.use(prompt("b"))).toBe(0);
  expect(cache.use(prompt("c", "b"))).toBe(0);
});

test("what was used longest ago goes first when the cache is full", () => {
  const cache = new PrefixCache(32);
  cache.use(prompt("a"));
  cache.use(prompt("b"));
  cache.use(prompt("a"));
  cache.use(prompt("c"));
  expect(cache.tokens).toBe(32);
  expect([cache.use(prompt("a")), cache.use(prompt("b"))]).toEqual([16, 0]);
});

test("a cleared cache holds nothing", () => {
  const cache = new PrefixCache(1000);
  cache.use(prompt("a"));
  cache.clear();
  expect([cache.tokens, cache.use(prompt("a"))]).toEqual([0, 0]);
});
