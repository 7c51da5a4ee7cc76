import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keyNamed } from "../../test/support/keys.ts";
import { MemoryKeyStore } from "../../test/support/memory-key-store.ts";
import { digestOf } from "./api-key.ts";
import { nextTurn } from "../util/next-turn.ts";
import type { KeyRecord } from "./key-record.ts";
import type { KeyStore } from "./key-store.ts";
import { SqliteKeyStore } from "./sqlite-key-store.ts";
import { type UsageGroup, type UsageQuery, type UsageRow, WINDOW_MS } from "./usage.ts";

const folder = mkdtempSync(join(tmpdir(), "pointsman-keys-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

const NOW = 1_800_000_000_000;
const KINDS: readonly (readonly [string, () => KeyStore])[] = [
  ["in memory", () => new MemoryKeyStore(() => NOW)],
  ["in a file of SQLite", () => SqliteKeyStore.open(join(folder, `${(files += 1)}.db`), () => NOW)],
];

const FULL: KeyRecord = keyNamed("Größe", {
  previousDigest: digestOf("before"),
  previousUntil: NOW + 5,
  roles: ["client", "viewer"],
  models: ["llama-*", 'a"b'],
  limits: { requestsPerMinute: 7, tokensPerMinute: 1e12, maxConcurrent: Number.POSITIVE_INFINITY },
  priority: "high",
  createdAt: NOW,
  expiresAt: NOW + 10,
});

for (const [name, open] of KINDS) {
  describe(`a store of keys ${name}`, () => {
    const names = (keys: readonly KeyRecord[]): string[] => keys.map((key) => key.name);

    test("gives back what was put into it, whole", async () => {
      await using store = open();
      await store.insert(FULL);
      await store.insert(keyNamed("plain"));
      expect(await store.find("Größe")).toEqual(FULL);
      expect(await store.find("plain")).toEqual(keyNamed("plain"));
      expect(await store.find("none")).toBeUndefined();
    });

    test("loads the valid keys only, and then says what has changed, also what was revoked", async () => {
      await using store = open();
      for (const id of ["a", "b", "c"]) await store.insert(keyNamed(id));
      await store.insert(keyNamed("old", { expiresAt: NOW }));
      await store.update("c", (record) => ({ ...record, revokedAt: NOW }));
      const keys: KeyRecord[] = [];
      const position = await store.load((record) => keys.push(record));
      expect(names(keys)).toEqual(["a", "b"]);
      expect((await store.changesSince(position)).keys).toEqual([]);
      await store.update("b", (record) => ({ ...record, revokedAt: NOW }));
      await store.update("a", (record) => ({ ...record, priority: "low" }));
      const changes = await store.changesSince(position);
      expect(changes.keys.map((key) => [key.name, key.priority, key.revokedAt])).toEqual([
        ["b", "normal", NOW],
        ["a", "low", undefined],
      ]);
      expect((await store.changesSince(changes.position)).keys).toEqual([]);
    });

    test("has one valid key of a name; a revoked one leaves it, and the valid one is found by it", async () => {
      await using store = open();
      await store.insert(keyNamed("1", { name: "team" }));
      await store.insert(keyNamed("2", { name: "other" }));
      expect(store.insert(keyNamed("3", { name: "team" }))).rejects.toMatchObject({ code: "key_exists" });
      expect(store.update("2", (record) => ({ ...record, name: "team" }))).rejects.toMatchObject({
        code: "key_exists",
      });
      expect(await store.find("2")).toMatchObject({ name: "other" });
      await store.update("1", (record) => ({ ...record, revokedAt: NOW }));
      await store.insert(keyNamed("3", { name: "team" }));
      expect([(await store.find("team"))?.id, (await store.find("1"))?.id]).toEqual(["3", "1"]);
      expect(store.update("9", (record) => record)).rejects.toMatchObject({ code: "key_not_found" });
    });

    test("lists page by page, in the order in which the keys were made", async () => {
      await using store = open();
      for (const id of ["c", "a", "b"]) await store.insert(keyNamed(id));
      await store.update("c", (record) => ({ ...record, priority: "low" }));
      expect(names(await store.list(2))).toEqual(["c", "a"]);
      expect(names(await store.list(2, "a"))).toEqual(["b"]);
      expect(names(await store.list(2, "b"))).toEqual([]);
      expect(names(await store.list(2, "nobody"))).toEqual([]);
    });

    test("sums up usage by key, model and time, whoever adds to it", async () => {
      await using store = open();
      const day = Math.floor(NOW / WINDOW_MS.day) * WINDOW_MS.day;
      const row = (key: string, model: string, minute: number, requests: number): UsageRow => {
        const at = day + minute * 60_000;
        return {
          key,
          isBearer: false,
          model,
          minute: at,
          requests,
          errors: 1,
          promptTokens: 10 * requests,
          completionTokens: 2,
          cachedTokens: 3,
        };
      };
      await store.addUsage([row("a", "m", 0, 1), row("a", "m", 1, 2), row("b", "m", 1, 4)]);
      await store.addUsage([row("a", "n", 1, 8), row("a", "m", 1, 16)]);
      const ask = (by: readonly UsageGroup[], said: Partial<UsageQuery> = {}): Promise<unknown[]> =>
        store
          .usage({ window: "minute", from: day, to: day + WINDOW_MS.day, by, limit: 99, ...said })
          .then((rows) =>
            rows.map(({ key, model, time, requests }) => [
              key,
              model,
              time === undefined ? undefined : (time - day) / 60_000,
              requests,
            ]),
          );
      expect(await ask(["key"])).toEqual([
        ["a", undefined, undefined, 27],
        ["b", undefined, undefined, 4],
      ]);
      expect(await ask(["key", "time"])).toEqual([
        ["a", undefined, 0, 1],
        ["a", undefined, 1, 26],
        ["b", undefined, 1, 4],
      ]);
      expect(await ask(["model"], { key: "a", from: day + 60_000 })).toEqual([
        [undefined, "m", undefined, 18],
        [undefined, "n", undefined, 8],
      ]);
      expect(await ask(["time"], { window: "day", model: "m" })).toEqual([[undefined, undefined, 0, 23]]);
      expect(await ask(["key"], { to: day + 60_000, limit: 1 })).toEqual([["a", undefined, undefined, 1]]);
      const [sum] = await store.usage({ window: "day", from: day, to: day + 1, by: ["key"], limit: 1 });
      expect(sum).toEqual({
        key: "a",
        model: undefined,
        time: undefined,
        requests: 27,
        errors: 4,
        promptTokens: 270,
        completionTokens: 8,
        cachedTokens: 12,
      });
    });
  });
}

describe("a file of SQLite", () => {
  test("is its owner's alone, and is found as it was left", async () => {
    const path = join(folder, "left.db");
    {
      await using store = SqliteKeyStore.open(path, () => NOW);
      await store.insert(FULL);
    }
    expect(statSync(path).mode & 0o077).toBe(0);
    await using again = SqliteKeyStore.open(path, () => NOW);
    expect(await again.find("Größe")).toEqual(FULL);
  });

  test("tells one process what another has changed", async () => {
    const path = join(folder, "shared.db");
    await using one = SqliteKeyStore.open(path, () => NOW);
    await using other = SqliteKeyStore.open(path, () => NOW);
    const position = await one.load(() => undefined);
    expect((await one.changesSince(position)).keys).toEqual([]);
    await other.insert(keyNamed("a"));
    const changes = await one.changesSince(position);
    expect(changes.keys.map((key) => key.name)).toEqual(["a"]);
    expect((await one.changesSince(changes.position)).keys).toEqual([]);
  });

  test("that is none, or of a later version, is refused with its path", async () => {
    const later = join(folder, "later.db");
    await SqliteKeyStore.open(later)[Symbol.asyncDispose]();
    const { Database } = await import("bun:sqlite");
    new Database(later).run("PRAGMA user_version = 99");
    expect(() => SqliteKeyStore.open(later)).toThrow("later version");
    const text = join(folder, "text.db");
    await Bun.write(text, "this is no database, however long it may be ".repeat(40));
    expect(() => SqliteKeyStore.open(text)).toThrow(`key_store ${text}`);
    expect(() => SqliteKeyStore.open(join(folder, "none", "x.db"))).toThrow("key_store");
  });

  test("that another process writes to is waited for, while everything else goes on", async () => {
    const path = join(folder, "locked.db");
    await using store = SqliteKeyStore.open(path, () => NOW);
    const { Database } = await import("bun:sqlite");
    const other = new Database(path);
    other.run("BEGIN IMMEDIATE");
    let isWritten = false;
    const writing = store.insert(keyNamed("a")).then(() => (isWritten = true));
    for (let turn = 0; turn < 5; turn += 1) await nextTurn();
    expect(isWritten).toBe(false);
    expect(await store.find("a")).toBeUndefined();
    other.run("COMMIT");
    await writing;
    expect((await store.find("a"))?.name).toBe("a");
    other.close();
  });

  test("that was deleted, replaced or damaged is told so, and is not written to", async () => {
    const damage: readonly (readonly [string, (path: string) => void, RegExp])[] = [
      ["deleted", (path) => rmSync(path), /the file was deleted; put it back, or start the gateway anew/],
      [
        "replaced",
        (path) => renameSync(`${path}.new`, path),
        /the file was replaced; put it back, or start the gateway anew/,
      ],
      ["cut", (path) => truncateSync(path, 100), /disk|malformed|not a database/],
    ];
    for (const [what, harm, told] of damage) {
      const path = join(folder, `${what}.db`);
      await SqliteKeyStore.open(`${path}.new`, () => NOW)[Symbol.asyncDispose]();
      // What another connection has written out of the log into the file is what is damaged.
      await SqliteKeyStore.open(path, () => NOW)[Symbol.asyncDispose]();
      await using store = SqliteKeyStore.open(path, () => NOW);
      harm(path);
      expect(store.insert(keyNamed("b"))).rejects.toMatchObject({
        code: "key_store_failed",
        message: expect.stringMatching(told),
      });
    }
  });

  test("forgets usage by minute after two days, and keeps that by day", async () => {
    let now = NOW;
    await using store = SqliteKeyStore.open(join(folder, "old.db"), () => now);
    const row = (minute: number): UsageRow => ({
      key: "a",
      isBearer: false,
      model: "m",
      minute,
      requests: 1,
      errors: 0,
      promptTokens: 0,
      completionTokens: 0,
      cachedTokens: 0,
    });
    await store.addUsage([row(NOW)]);
    now += 3 * WINDOW_MS.day;
    await store.addUsage([row(now)]);
    const count = async (window: "minute" | "day"): Promise<number | undefined> =>
      (await store.usage({ window, from: 0, to: now + 1, by: [], limit: 1 }))[0]?.requests;
    expect([await count("minute"), await count("day")]).toEqual([1, 2]);
  });
});

test("a key whose models somebody has damaged in the file may use none, and keeps no other key from being read", async () => {
  const path = join(folder, "damaged.db");
  await using store = SqliteKeyStore.open(path, () => NOW);
  for (const id of ["a", "b", "c"]) await store.insert(keyNamed(id, { models: ["m"] }));
  const position = await store.load(() => undefined);
  using file = new Database(path);
  file.run("UPDATE keys SET models = '[\"m', position = position + 10 WHERE id = 'a'");
  file.run("UPDATE keys SET models = '7', position = position + 10 WHERE id = 'b'");
  file.run("UPDATE keys SET position = position + 10 WHERE id = 'c'");
  const models = ({ models: list }: KeyRecord): readonly string[] | undefined => list;
  expect((await store.changesSince(position)).keys.map(models)).toEqual([[], [], ["m"]]);
  const loaded: KeyRecord[] = [];
  await store.load((record) => loaded.push(record));
  expect(loaded.map(models)).toEqual([[], [], ["m"]]);
});
