import { expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limitReader } from "./descriptor-limit.ts";

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

test("none where the system does not say", () => {
  expect(limitReader("/nowhere/limits")()).toBe(Number.POSITIVE_INFINITY);
});
