import { expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limitReader, shareOf } from "./descriptor-limit.ts";

const limits = (files: string): string =>
  `Limit                     Soft Limit           Hard Limit           Units     \nMax open files            ${files.padEnd(20)} 20000                files     \nMax locked memory         8388608              8388608              bytes     \n`;

test("four fifths of the soft limit, as it is now", () => {
  const path = join(mkdtempSync(join(tmpdir(), "limits-")), "limits");
  writeFileSync(path, limits("1000"));
  const read = limitReader(path);
  expect(read()).toBe(800);
  writeFileSync(path, limits("200"));
  expect(read()).toBe(160);
  writeFileSync(path, limits("unlimited"));
  expect(read()).toBe(Number.POSITIVE_INFINITY);
});

test("the ports for a few have a small share each, and all together no more than there is", () => {
  for (const connections of [160, 819, 800_000]) {
    const { main, side } = shareOf(connections);
    expect([main + 2 * side, main > connections * 0.85]).toEqual([connections, true]);
  }
  expect([160, 819, 800_000].map((connections) => shareOf(connections).side)).toEqual([8, 40, 64]);
  expect(shareOf(Number.POSITIVE_INFINITY)).toEqual({ main: Number.POSITIVE_INFINITY, side: 64 });
});

test("none where the system does not say", () => {
  expect(limitReader("/nowhere/limits")()).toBe(Number.POSITIVE_INFINITY);
});
