import { expect, test } from "bun:test";
import { answerTokens, countTokens, naturalLength, otherTokens, tokensOf } from "./text.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);

test("a token of a prompt is four bytes, and there is at least one", () => {
  expect(["", "abcd", "abcde"].map((text) => countTokens(bytes(text)))).toEqual([1, 1, 2]);
});

test("the same prompt is answered the same, and another prompt otherwise", () => {
  expect(answerTokens(bytes("hello"), 20)).toEqual(answerTokens(bytes("hello"), 20));
  expect(answerTokens(bytes("hello"), 20)).not.toEqual(answerTokens(bytes("hullo"), 20));
});

test("a prompt with a part of its answer behind it is answered with the rest", () => {
  const whole = answerTokens(bytes("hello"), 20);
  for (const begun of [1, 7, 19]) {
    const rest = answerTokens(bytes(`hello${whole.slice(0, begun).join("")}`), 20 - begun, true);
    expect([begun, rest]).toEqual([begun, whole.slice(begun)]);
  }
});

test("a shorter answer is the beginning of a longer one", () => {
  expect(answerTokens(bytes("hello"), 5)).toEqual(answerTokens(bytes("hello"), 20).slice(0, 5));
});

test("a text that is given is cut into tokens between characters, or what is left of it behind its beginning", () => {
  expect(tokensOf("abcdefg")).toEqual(["abc", "def", "g"]);
  expect(tokensOf("🚂🚂🚂🚂").join("")).toBe("🚂🚂🚂🚂");
  expect(tokensOf("abcdefg", "abc")).toEqual(["def", "g"]);
  expect(tokensOf("abc", "x")).toEqual(["abc"]);
  expect(tokensOf("")).toEqual([]);
});

test("words that could stand in a token's place are others, with a space where it has one", () => {
  const others = otherTokens(" the", 5);
  expect(others).toHaveLength(5);
  expect(others.every((token) => token.startsWith(" ") && token !== " the")).toBe(true);
});

test("an answer that nobody bounds has 8 to 39 tokens", () => {
  const lengths = Array.from({ length: 500 }, (_, index) => naturalLength(bytes(`prompt ${index}`)));
  expect([Math.min(...lengths), Math.max(...lengths)]).toEqual([8, 39]);
});
