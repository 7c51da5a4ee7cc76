import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BoundedFile, type LineFate, type WriteFailure } from "./bounded-file.ts";

const dir = mkdtempSync(join(tmpdir(), "bounded-file-"));
afterAll(() => rmSync(dir, { recursive: true }));

const ignore = (): void => undefined;

test("lines are in the file in their order once it is closed, and only its owner may read it", async () => {
  const path = join(dir, "order.jsonl");
  {
    await using file = await BoundedFile.create(path, 1000, ignore);
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
    await using file = await BoundedFile.create(path, 6, ignore);
    expect([file.write("aaa\n"), file.write("bbb\n"), file.write("c\n")]).toEqual(["kept", "full", "kept"]);
  }
  expect(readFileSync(path, "utf8")).toBe("aaa\nc\n");
});

test("a line is dropped while too much waits for the disk", async () => {
  await using file = await BoundedFile.create(join(dir, "slow.jsonl"), 1e9, ignore);
  const line = `${"x".repeat(1024 * 1024 - 1)}\n`;
  const fates = Array.from({ length: 9 }, () => file.write(line));
  expect(fates.map((fate) => fate === "kept")).toEqual([...Array.from({ length: 8 }, () => true), false]);
});

test("a file that exists is never overwritten: the new one has a number", async () => {
  const path = join(dir, "twice.jsonl");
  for (const line of ["first\n", "second\n", "third\n"]) {
    await using file = await BoundedFile.create(path, 1000, ignore);
    file.write(line);
  }
  expect(readFileSync(path, "utf8")).toBe("first\n");
  expect(readFileSync(join(dir, "twice.2.jsonl"), "utf8")).toBe("third\n");
});

test("a folder of that name is told, and no file is made beside it", async () => {
  const path = join(dir, "folder");
  mkdirSync(path);
  expect(BoundedFile.create(path, 1000, ignore)).rejects.toThrow(`${path} is there, and is no file`);
  await BoundedFile.create(path, 1000, ignore).catch(() => undefined);
  expect(existsSync(`${path}.1`)).toBe(false);
});

test("a folder that does not exist is an error of the file system", () => {
  expect(BoundedFile.create(join(dir, "missing", "a.jsonl"), 1000, ignore)).rejects.toThrow("ENOENT");
});

describe("a disk that gets full", () => {
  /** A disk with so many bytes, which takes at most four of them at a time. */
  async function writtenTo(size: number, batches: readonly (readonly string[])[]) {
    let onDisk = "";
    const failures: WriteFailure[] = [];
    const fates: LineFate[] = [];
    const disk = {
      write: (bytes: Uint8Array) => {
        const taken = Math.min(bytes.length, 4, size - onDisk.length);
        if (taken === 0) return Promise.reject(new Error("ENOSPC"));
        onDisk += Buffer.from(bytes.subarray(0, taken)).toString();
        return Promise.resolve({ bytesWritten: taken });
      },
      close: () => Promise.resolve(),
    };
    {
      await using file = await BoundedFile.create(
        "any",
        1000,
        (failure) => void failures.push(failure),
        () => Promise.resolve(disk),
      );
      for (const lines of batches) {
        for (const line of lines) fates.push(file.write(line));
        for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      }
    }
    return { onDisk, failures: failures.map(({ lines }) => lines), fates };
  }

  test("gets each line whole where it takes a part at a time", async () => {
    const batches = [["first line\n", "second line\n"], ["third line\n"]];
    expect(await writtenTo(100, batches)).toEqual({
      onDisk: "first line\nsecond line\nthird line\n",
      failures: [],
      fates: ["kept", "kept", "kept"],
    });
  });

  test("ends within a line; those that are not in the file are told once, and later ones are dropped", async () => {
    const batches = [["first line\n", "second line\n", "third line\n"], ["fourth line\n"]];
    expect(await writtenTo(16, batches)).toEqual({
      onDisk: "first line\nsecon",
      failures: [2],
      fates: ["kept", "kept", "kept", "dropped"],
    });
  });
});
