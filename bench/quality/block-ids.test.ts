import { expect, test } from "bun:test";
import { BlockIds } from "./block-ids.ts";
import { Filler } from "./filler.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test("texts with a common beginning share the ids of its blocks and no others", () => {
  const ids = new BlockIds();
  const beginning = new Filler(1).tokens(0, 32);
  const first = ids.of(bytes(beginning + new Filler(2).tokens(0, 16)), 16);
  const second = ids.of(bytes(beginning + new Filler(3).tokens(0, 16)), 16);
  expect(first).toHaveLength(3);
  expect([...second.subarray(0, 2)]).toEqual([...first.subarray(0, 2)]);
  expect(second[2]).not.toBe(first[2] ?? 0);
});

test("a block has another id after another beginning", () => {
  const ids = new BlockIds();
  const block = new Filler(4).tokens(0, 16);
  const [, after] = ids.of(bytes(new Filler(5).tokens(0, 16) + block), 16);
  const [alone] = ids.of(bytes(block), 16);
  expect(after).not.toBe(alone ?? 0);
});

test("a shorter text of a seed is the beginning of a longer one, four bytes a token", () => {
  const long = new Filler(6).tokens(0, 700);
  expect(new Filler(6).tokens(0, 10)).toBe(long.slice(0, 40));
  expect(long).toHaveLength(2800);
});
