import { expect, test } from "bun:test";
import { tellIndex } from "./index-news.ts";
import { hashPrompt } from "./prefix-blocks.ts";
import { PrefixIndex, prefixIndexBytes } from "./prefix-index.ts";

const BYTES = 65_536;
const prompt = hashPrompt(Buffer.alloc(1024, "a"));
const other = hashPrompt(Buffer.alloc(1024, "b"));

function setUp() {
  const index = new PrefixIndex(BYTES, new SharedArrayBuffer(prefixIndexBytes(BYTES)));
  /** Bytes of the prompt that the worker has. */
  const bytesOf = (slot: number, of = prompt): number => {
    index.match(of);
    index.find(8);
    return index.bytesAt(index.numberOf(slot));
  };
  return { index, bytesOf };
}

test("what is stored is found, what is removed is not, and a shorter prefix stays", () => {
  const { index, bytesOf } = setUp();
  tellIndex(index, 3, { kind: "stored", hashes: prompt.hashes });
  expect([bytesOf(3), bytesOf(4)]).toEqual([1024, 0]);
  tellIndex(index, 3, { kind: "removed", hashes: prompt.hashes.slice(6) });
  expect(bytesOf(3)).toBe(6 * 128);
});

test("while news is complete, what it has named does not age; when it no longer is, it does", () => {
  const { index, bytesOf } = setUp();
  index.setBound(3, 2048);
  tellIndex(index, 3, { kind: "exact", isExact: true });
  tellIndex(index, 3, { kind: "stored", hashes: prompt.hashes });
  const fill = (): void => {
    for (let one = 0; one < 8; one += 1) {
      index.match(hashPrompt(Buffer.alloc(1024, String(one))));
      index.insert(3);
      index.withdraw(hashPrompt(Buffer.alloc(1024, String(one))), 3);
    }
  };
  fill();
  expect(bytesOf(3)).toBe(1024);
  tellIndex(index, 3, { kind: "exact", isExact: false });
  fill();
  expect(bytesOf(3)).toBe(0);
});

test("what was evicted before its request is settled stays away; what was stored meanwhile stays", () => {
  const { index, bytesOf } = setUp();
  tellIndex(index, 3, { kind: "exact", isExact: true });
  for (const one of [prompt, other]) {
    index.match(one);
    index.insert(3);
    tellIndex(index, 3, { kind: "stored", hashes: one.hashes });
  }
  tellIndex(index, 3, { kind: "removed", hashes: prompt.hashes.slice(2) });
  index.settle(prompt, 3);
  index.settle(other, 3);
  expect([bytesOf(3), bytesOf(3, other)]).toEqual([256, 1024]);
  // Of what the events have not named yet, the gateway knows that it was prefilled.
  const third = hashPrompt(Buffer.alloc(1024, "c"));
  index.match(third);
  index.insert(3);
  index.settle(third, 3);
  bytesOf(3, third);
  expect(index.safeBytesAt(index.numberOf(3))).toBe(1024);
});

test("a cache that was emptied is empty, for this worker only, and keeps its bound", () => {
  const { index, bytesOf } = setUp();
  index.setBound(3, 4096);
  for (const slot of [3, 4]) tellIndex(index, slot, { kind: "stored", hashes: prompt.hashes });
  tellIndex(index, 3, { kind: "cleared" });
  expect([bytesOf(3), bytesOf(4)]).toEqual([0, 1024]);
  index.match(other);
  index.insert(3);
  expect(index.fill(3)).toBeCloseTo(0.25, 2);
});
