import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { StopMatcher, StopStrings } from "./stop-strings.ts";

/** The whole text that comes out, and the stop string that matched. */
function run(strings: readonly string[], parts: readonly string[], isIncluded = false): [string, string | undefined] {
  const matcher = new StopMatcher(new StopStrings(strings), isIncluded);
  let out = "";
  for (const part of parts) {
    const { text, matched } = matcher.push(part);
    out += text;
    if (matched !== undefined) return [out, matched];
  }
  return [out + matcher.flush(), undefined];
}

describe("stop strings", () => {
  test("are found across borders and end the text before them, or behind", () => {
    expect(run(["</end>"], ["a<", "/e", "nd>b"])).toEqual(["a", "</end>"]);
    expect(run(["</end>"], ["a<", "/e", "nd>b"], true)).toEqual(["a</end>", "</end>"]);
    expect(run(["\n\n"], ["a\n", "b\n", "\nc"])).toEqual(["a\nb", "\n\n"]);
  });

  test("only hold back what may become one", () => {
    const matcher = new StopMatcher(new StopStrings(["abc", "cab"]));
    expect(matcher.push("xa")).toEqual({ text: "x" });
    expect(matcher.push("b")).toEqual({ text: "" });
    expect(matcher.push("d")).toEqual({ text: "abd" });
    expect(matcher.push("ca")).toEqual({ text: "" });
    expect(matcher.flush()).toBe("ca");
    expect(matcher.flush()).toBe("");
  });

  test("count by which is complete first, and of those the longest", () => {
    expect(run(["abcd", "bc"], ["xabcd"])).toEqual(["xa", "bc"]);
    expect(run(["bc", "abc"], ["xabcd"])).toEqual(["x", "abc"]);
    expect(run(["aab"], ["aaab"])).toEqual(["a", "aab"]);
  });

  test("that are empty stop nothing", () => {
    expect(run([], ["a", "b"])).toEqual(["ab", undefined]);
    expect(run([""], ["a", "b"])).toEqual(["ab", undefined]);
  });

  test("are found in the same place however the text is cut", () => {
    const letter = fc.string({ unit: fc.constantFrom("a", "b", "\u{1f600}"), minLength: 1, maxLength: 4 });
    const property = fc.property(
      fc.array(letter, { maxLength: 5 }),
      fc.array(letter),
      fc.boolean(),
      (strings, parts, isIncluded) => {
        const text = parts.join("");
        // The obvious way: the shortest beginning of the text that ends with a stop string.
        let expected: [string, string | undefined] = [text, undefined];
        for (let end = 1; end <= text.length && expected[1] === undefined; end += 1) {
          const ending = strings
            .filter((string) => text.slice(0, end).endsWith(string))
            .sort((a, b) => b.length - a.length)[0];
          if (ending !== undefined) expected = [text.slice(0, isIncluded ? end : end - ending.length), ending];
        }
        expect(run(strings, parts, isIncluded)).toEqual(expected);
      },
    );
    fc.assert(property, { numRuns: 1000 });
  });

  test("cost the same however many they are", () => {
    const strings = Array.from({ length: 1000 }, (_, index) => `${"a".repeat(50)}${index}`);
    const matcher = new StopMatcher(new StopStrings(strings));
    const from = performance.now();
    let length = 0;
    for (let part = 0; part < 10_000; part += 1) length += matcher.push("aaaaaaaaaa").text.length;
    expect(length + matcher.flush().length).toBe(100_000);
    expect(performance.now() - from).toBeLessThan(1000);
  });
});
