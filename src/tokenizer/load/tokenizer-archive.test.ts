import { describe, expect, test } from "bun:test";
import { deflateRawSync } from "node:zlib";
import { failureOf } from "../../../test/support/failure-of.ts";
import { TokenizerArchive } from "./tokenizer-archive.ts";
import { unzip } from "./unzip.ts";

interface Entry {
  readonly name: string;
  readonly text: string;
  readonly isStored?: boolean;
  /** A wrong size in the directory, instead of the true one. */
  readonly bytes?: number;
  readonly crc?: number;
}

/** An archive like those of Python's zipfile: the directory is last and has the sizes. */
function zip(entries: readonly Entry[], comment = ""): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const entry of entries) {
    const bytes = Buffer.from(entry.text);
    const packed = entry.isStored ? bytes : deflateRawSync(bytes);
    const name = Buffer.from(entry.name);
    const header = Buffer.alloc(46);
    header.writeUInt32LE(0x02014b50, 0);
    header.writeUInt16LE(entry.isStored ? 0 : 8, 10);
    header.writeUInt32LE(entry.crc ?? Bun.hash.crc32(bytes), 16);
    header.writeUInt32LE(packed.length, 20);
    header.writeUInt32LE(entry.bytes ?? bytes.length, 24);
    header.writeUInt16LE(name.length, 28);
    header.writeUInt32LE(at, 42);
    directory.push(header, name);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    parts.push(local, name, packed);
    at += 30 + name.length + packed.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(at, 16);
  end.writeUInt16LE(comment.length, 20);
  return Buffer.concat([...parts, ...directory, end, Buffer.from(comment)]);
}

const LIMITS = { maxEntries: 3, maxBytes: 1000 };
const FILES = [
  { name: "model/", text: "", isStored: true },
  { name: "model/config.json", text: "{}" },
  { name: "tokenizer.json", text: "x".repeat(500), isStored: true },
];

function sha256(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

describe("an archive", () => {
  test("gives its files, stored or deflated, behind a comment too", async () => {
    const files = await unzip(zip(FILES, "a comment"), LIMITS);
    expect([...files].map(([name, bytes]) => [name, new TextDecoder().decode(bytes)])).toEqual([
      ["model/config.json", "{}"],
      ["tokenizer.json", "x".repeat(500)],
    ]);
    expect((await unzip(zip([]), LIMITS)).size).toBe(0);
  });

  const wrong: Record<string, Uint8Array> = {
    "no archive": Buffer.from("hello"),
    "cut off": zip(FILES).subarray(0, -5),
    "more entries than allowed": zip([...FILES, ...FILES]),
    "more bytes than allowed": zip([{ name: "a", text: "x".repeat(1001) }]),
    "more bytes than it says": zip([{ name: "a", text: "x".repeat(10_000), bytes: 10 }]),
    "fewer bytes than it says": zip([{ name: "a", text: "x", bytes: 10 }]),
    "the wrong checksum": zip([{ name: "a", text: "x", crc: 1 }]),
    "a name twice": zip([
      { name: "a", text: "x" },
      { name: "a", text: "y" },
    ]),
    "a way up": zip([{ name: "../a", text: "x" }]),
    "a way up within": zip([{ name: "a/../../b", text: "x" }]),
    "a path from the root": zip([{ name: "/etc/passwd", text: "x" }]),
    "a path of Windows": zip([{ name: "C:\\a", text: "x" }]),
    "no name": zip([{ name: "", text: "x" }]),
  };
  for (const [name, bytes] of Object.entries(wrong)) {
    test(`with ${name} is refused`, async () => {
      expect(await failureOf(unzip(bytes, LIMITS))).toMatchObject({ code: "invalid_upstream_response" });
    });
  }

  test("that is damaged anywhere is refused or gives the same contents", async () => {
    const good = zip(FILES);
    for (let at = 0; at < good.length; at += 1) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] ?? 0) ^ 0x55;
      const outcome = await unzip(bad, { maxEntries: 100, maxBytes: 1e9 }).catch(
        (error: { code: string }) => error.code,
      );
      if (typeof outcome === "string") expect(outcome).toBe("invalid_upstream_response");
      else
        for (const bytes of outcome.values())
          expect(["", "{}", "x".repeat(500)]).toContain(new TextDecoder().decode(bytes));
    }
  });
});

describe("an archive in chunks", () => {
  test("is checked against its SHA-256, and its files lose their folder", async () => {
    const bytes = zip(FILES);
    const archive = new TokenizerArchive();
    for (let at = 0; at < bytes.length; at += 100) archive.push(bytes.subarray(at, at + 100));
    expect([...(await archive.finish(sha256(bytes))).keys()]).toEqual(["config.json", "tokenizer.json"]);
    const damaged = new TokenizerArchive();
    damaged.push(bytes);
    expect(await failureOf(damaged.finish("00"))).toMatchObject({ code: "invalid_upstream_response" });
  });

  test("is given up when it is too large", () => {
    const archive = new TokenizerArchive();
    const chunk = new Uint8Array(64 * 1024 * 1024);
    for (let index = 0; index < 3; index += 1) archive.push(chunk);
    expect(() => archive.push(chunk)).toThrow("larger than");
  });
});
