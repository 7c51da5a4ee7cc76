import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BoundedFile } from "./bounded-file.ts";

const dir = mkdtempSync(join(tmpdir(), "bounded-file-"));
afterAll(() => rmSync(dir, { recursive: true }));

test("lines are in the file in their order once it is closed, and only its owner may read it", async () => {
  const path = join(dir, "order.jsonl");
  {
    await using file = await BoundedFile.create(path, 1000);
    for (const line of ["a\n", "b\n"]) expect(file.write(line)).toBe("kept");
    await new Promise((resolve) => setImmediate(resolve));
    expect(file.write("c\n")).toBe("kept");
  }
  expect(readFileSync(path, "utf8")).toBe("a\nb\nc\n");
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("a line that would make the file too large is not written, and a smaller one still is", async () => {
  const path = join(dir, "full.jsonl");
  {
    await using file = await BoundedFile.create(path, 6);
    expect([file.write("aaa\n"), file.write("bbb\n"), file.write("c\n")]).toEqual(["kept", "full", "kept"]);
  }
  expect(readFileSync(path, "utf8")).toBe("aaa\nc\n");
});

test("a line is dropped while too much waits for the disk", async () => {
  await using file = await BoundedFile.create(join(dir, "slow.jsonl"), 1e9);
  const line = `${"x".repeat(1024 * 1024 - 1)}\n`;
  const fates = Array.from({ length: 9 }, () => file.write(line));
  expect(fates.map((fate) => fate === "kept")).toEqual([...Array.from({ length: 8 }, () => true), false]);
});

test("a file that exists is never overwritten: the new one has a number", async () => {
  const path = join(dir, "twice.jsonl");
  for (const line of ["first\n", "second\n", "third\n"]) {
    await using file = await BoundedFile.create(path, 1000);
    file.write(line);
  }
  expect(readFileSync(path, "utf8")).toBe("first\n");
  expect(readFileSync(join(dir, "twice.2.jsonl"), "utf8")).toBe("third\n");
});

test("a folder that does not exist is an error of the file system", () => {
  expect(BoundedFile.create(join(dir, "missing", "a.jsonl"), 1000)).rejects.toThrow("ENOENT");
});
