import { expect, test } from "bun:test";
import { WordCache } from "./word-cache.ts";

/** Words that fill a generation. */
const MANY = 32_768;

test("a word's ids are known again, one or several", () => {
  const cache = new WordCache();
  const several = new Uint32Array([1, 2]);
  cache.set(" the", 7);
  cache.set("größer", several);
  expect([cache.get(" the"), cache.get("größer"), cache.get("the")]).toEqual([7, several, undefined]);
});

test("the id 0 is an id", () => {
  const cache = new WordCache();
  cache.set("!", 0);
  expect(cache.get("!")).toBe(0);
});

test("half a surrogate pair is a word of its own", () => {
  const cache = new WordCache();
  cache.set("\ud83d", 1);
  expect([cache.get("\ud83d"), cache.get("\ufffd")]).toEqual([1, undefined]);
});

test("what is used stays, and what was not used for two generations is forgotten", () => {
  const cache = new WordCache();
  cache.set("used", 1);
  cache.set("unused", 2);
  for (let count = 0; count < 3 * MANY; count += 1) {
    cache.set(`w${count}`, count);
    if (count % 1000 === 0) cache.get("used");
  }
  expect([cache.get("used"), cache.get("unused"), cache.get("w0")]).toEqual([1, undefined, undefined]);
});
