import { expect, test } from "bun:test";
import { blockBytesAt, blocksEnd, MAX_BLOCKS } from "./prefix-blocks.ts";

test("the size of the block that begins where another one ends is the distance to its end", () => {
  for (let block = 0; block < MAX_BLOCKS; block += 1) {
    expect(blockBytesAt(blocksEnd(block))).toBe(blocksEnd(block + 1) - blocksEnd(block));
  }
  expect(blockBytesAt(blocksEnd(MAX_BLOCKS))).toBe(0);
});
