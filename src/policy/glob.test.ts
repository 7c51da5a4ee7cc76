import { expect, test } from "bun:test";
import fc from "fast-check";
import { coversGlob, matchesGlob } from "./glob.ts";

test.each([
  ["*", "llama-*", true],
  ["llama-*", "llama-3-*", true],
  ["llama-*", "llama-3", true],
  ["llama-?", "llama-3", true],
  ["*-instruct", "llama-*-instruct", true],
  ["llama-*", "llama-*", true],
  ["llama-3", "llama-3", true],
  ["llama-3-*", "llama-*", false],
  ["llama-?", "llama-*", false],
  ["?*", "*", false],
  ["llama-3", "llama-4", false],
  ["*a*", "*b*", false],
])("%s hides %s: %j", (pattern, other, isCovered) => {
  expect(coversGlob(pattern, other)).toBe(isCovered);
});

test("what a hidden pattern matches, the one before it matches too", () => {
  const glob = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 5 });
  const name = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 7 });
  fc.assert(
    fc.property(glob, glob, fc.array(name, { maxLength: 40 }), (pattern, other, names) => {
      if (!coversGlob(pattern, other)) return;
      for (const one of names)
        if (matchesGlob(other, one)) expect([one, matchesGlob(pattern, one)]).toEqual([one, true]);
    }),
    { numRuns: 2000 },
  );
});
