import { expect, test } from "bun:test";
import { translatePattern } from "./split-pattern.ts";

/** What the translated pattern finds in a text. */
function found(pattern: string, text: string): string[] {
  const source = translatePattern(pattern);
  if (source === undefined) throw new Error(`${pattern} is not translated`);
  return text.match(new RegExp(source, "gu")) ?? [];
}

test("white space is that of Unicode, within a set and outside", () => {
  const spaces = "\t\n\u0085\u00a0\u1680\u2003\u2028\u202f\u205f\u3000";
  expect(found("\\s+", `a${spaces}b`)).toEqual([spaces]);
  expect(found("[\\s]+", `a${spaces}b`)).toEqual([spaces]);
  // JavaScript's own \s has the byte order mark.
  expect(found("\\s+", "a\ufeffb")).toEqual([]);
  expect(found("\\S+", "\ufeff\u0085x")).toEqual(["\ufeff", "x"]);
});

test("digits are those of every script", () => {
  expect(found("\\d+", "12 ٣٤ x")).toEqual(["12", "٣٤"]);
});

test("the split patterns of the models that are used most are translated", () => {
  const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
  const llama3 =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  expect(found(gpt2, "It's 42 tests!  ok")).toEqual(["It", "'s", " 42", " tests", "!", " ", " ok"]);
  expect(found(llama3, "I'M 12345\n\n x")).toEqual(["I", "'M", " ", "123", "45", "\n\n", " x"]);
});

test("what stands for itself in one language and not in the other keeps its meaning", () => {
  expect(found("\\#\\!\\-", "#!-")).toEqual(["#!-"]);
  expect(found("[a\\-z]+", "a-z b")).toEqual(["a-z"]);
  expect(found("[^^]", "^a")).toEqual(["a"]);
});

const UNKNOWN: readonly (readonly [name: string, pattern: string])[] = [
  ["beginnings and ends of lines", "^a$"],
  ["any character", "a.b"],
  ["possessive repetition", "a++b"],
  ["sets within sets", "[a[bc]]"],
  ["intersections of sets", "[a-z&&[^b]]"],
  ["white space taken out of a set", "[\\S]"],
  ["properties that are negated within their braces", "\\p{^L}"],
  ["properties by their long name", "\\p{Letter}"],
  ["references to groups", "(a)\\1"],
  ["a beginning of the text", "\\Aa"],
  ["a backslash at the end", "a\\"],
  ["what is no pattern", "(a"],
];

for (const [name, pattern] of UNKNOWN) {
  test(`${name}: the pattern is left to the native tokenizer`, () => {
    expect(translatePattern(pattern)).toBeUndefined();
  });
}

test("a plus behind an escaped sign repeats it, and is not possessive", () => {
  expect(found("\\++", "a+++b")).toEqual(["+++"]);
});
