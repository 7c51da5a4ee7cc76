import { expect, test } from "bun:test";
import fc from "fast-check";
import { isPlain, StringWords } from "./string-words.ts";

/** Bytes at any address, with some that are looked for among them. */
const texts = fc.record({
  bytes: fc.array(fc.oneof({ arbitrary: fc.constantFrom(0x41, 0xc3, 0xa9, 0x20), weight: 9 }, fc.nat(255)), {
    maxLength: 300,
  }),
  offset: fc.nat(7),
  from: fc.nat(300),
  length: fc.nat(300),
});

function wordsAt(bytes: readonly number[], offset: number): StringWords {
  const whole = new Uint8Array(offset + bytes.length);
  whole.set(bytes, offset);
  return new StringWords(whole.subarray(offset));
}

test("the end of plain text is found as byte by byte, wherever the bytes lie", () => {
  fc.assert(
    fc.property(texts, ({ bytes, offset, from: start, length }) => {
      const from = Math.min(start, bytes.length);
      const until = Math.min(bytes.length, from + length);
      const end = wordsAt(bytes, offset).plainEnd(from, until);
      const first = bytes.findIndex((byte, index) => index >= from && !isPlain(byte));
      const isFound = end === first;
      // Where none is found before the limit, the search may end a word sooner or later, with plain bytes before it only.
      const isLeft = (first === -1 || end < first) && end >= Math.min(until, bytes.length) - 4 && end <= until + 4;
      expect(isFound || isLeft).toBe(true);
    }),
  );
});

test("a control character is found as byte by byte, wherever it stands", () => {
  fc.assert(
    fc.property(texts, ({ bytes, offset, from: start, length }) => {
      const from = Math.min(start, bytes.length);
      const to = Math.min(bytes.length, from + length);
      const isThere = bytes.slice(from, to).some((byte) => byte < 0x20);
      expect(wordsAt(bytes, offset).hasControl(from, to)).toBe(isThere);
    }),
  );
});

test("a control character behind thousands of letters beyond ASCII is found", () => {
  const bytes = Array.from({ length: 20_000 }, () => 0xe6);
  bytes[19_990] = 0x0a;
  expect(wordsAt(bytes, 1).hasControl(0, bytes.length)).toBe(true);
  expect(wordsAt(bytes, 1).hasControl(0, 19_990)).toBe(false);
});
