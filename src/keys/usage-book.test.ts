import { describe, expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { MemoryKeyStore } from "../../test/support/memory-key-store.ts";
import { Metrics } from "../observability/metrics.ts";
import { RequestRecord } from "../observability/request-record.ts";
import type { UsageRow } from "./usage.ts";
import { UsageBook } from "./usage-book.ts";
import { UsageTally } from "./usage-tally.ts";

const ignore = (): void => undefined;

function setUp(namedKeys = 2): {
  readonly clock: ManualClock;
  readonly store: MemoryKeyStore;
  readonly book: UsageBook;
  readonly metrics: Metrics;
  readonly errors: string[];
  total(): Promise<number>;
} {
  const clock = new ManualClock();
  const store = new MemoryKeyStore();
  const metrics = new Metrics();
  const errors: string[] = [];
  const logger = {
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: (_: object, text?: string) => void errors.push(text ?? ""),
  };
  const book = new UsageBook({ store, metrics, namedKeys, logger, clock });
  const total = async (): Promise<number> => {
    const rows = await store.usage({ window: "day", from: 0, to: 1e15, by: [], limit: 1 });
    return rows[0]?.requests ?? 0;
  };
  return { clock, store, book, metrics, errors, total };
}

function row(key: string, said: Partial<UsageRow> = {}): UsageRow {
  return {
    key,
    isBearer: false,
    model: "m",
    minute: 60_000,
    requests: 1,
    errors: 0,
    promptTokens: 3,
    completionTokens: 2,
    cachedTokens: 1,
    ...said,
  };
}

const settle = async (): Promise<void> => {
  for (let step = 0; step < 20; step += 1) await Promise.resolve();
};

describe("the usage of keys", () => {
  test("is written in batches, and the rest at the end", async () => {
    const { clock, book, total } = setUp();
    book.add([row("a"), row("b", { requests: 4 })]);
    book.add([row("a", { requests: 2 })]);
    expect(await total()).toBe(0);
    clock.advance(2000);
    await settle();
    expect(await total()).toBe(7);
    book.add([row("a")]);
    await book[Symbol.asyncDispose]();
    expect(await total()).toBe(8);
  });

  test("is written in the order of the store's table, and after a long write not before twenty times as long", async () => {
    const { clock, book, store } = setUp();
    const written: string[] = [];
    let tookMs = 300;
    store.addUsage = async (rows) => {
      written.push(rows.map(({ key, minute }) => `${minute / 60_000}${key}`).join(" "));
      clock.advance(tookMs);
    };
    book.add([row("b"), row("c", { minute: 0 }), row("a"), row("d", { minute: 0 })]);
    clock.advance(2000);
    await settle();
    expect(written).toEqual(["0c 0d 1a 1b"]);
    tookMs = 0;
    book.add([row("e")]);
    clock.advance(5900);
    await settle();
    expect(written).toHaveLength(1);
    clock.advance(100);
    await settle();
    book.add([row("f")]);
    clock.advance(2000);
    await settle();
    expect(written.slice(1)).toEqual(["1e", "1f"]);
  });

  test("of bearers of tokens is kept by name for the first 16,384 of a day, and for all others together; keys have their names", async () => {
    const { book, store } = setUp(0);
    const day = 86_400_000;
    const bearers = (from: number, to: number, minute: number): UsageRow[] =>
      Array.from({ length: to - from }, (_, index) => row(`user-${from + index}`, { isBearer: true, minute }));
    book.add(bearers(0, 16_384, day));
    book.add([...bearers(16_383, 16_386, day), row("key", { minute: day })]);
    book.add(bearers(16_385, 16_386, 2 * day));
    await book.flush();
    const rows = await store.usage({ window: "day", from: 0, to: 1e15, by: ["key", "time"], limit: 20_000 });
    const of = (name: string): unknown[] =>
      rows.filter(({ key }) => key === name).map(({ time, requests }) => [time, requests]);
    expect([rows.length, of("user-16383"), of("other"), of("key"), of("user-16385")]).toEqual([
      16_387,
      [[day, 2]],
      [[day, 2]],
      [[day, 1]],
      [[2 * day, 1]],
    ]);
  });

  test("that the store does not take is kept, told once, and written once when it does", async () => {
    const { clock, store, book, errors, total } = setUp();
    store.failure = new Error("the disk is full");
    book.add([row("a")]);
    for (let time = 0; time < 3; time += 1) {
      clock.advance(2000);
      await settle();
    }
    expect(errors).toHaveLength(1);
    store.failure = undefined;
    book.add([row("a", { requests: 2 })]);
    clock.advance(2000);
    await settle();
    expect(await total()).toBe(3);
  });

  test("of very many keys is written in slices; what comes behind one that fails is kept, and nothing is written twice", async () => {
    const sizes: number[] = [];
    const all = new MemoryKeyStore();
    const store = {
      async addUsage(rows: readonly UsageRow[]): Promise<void> {
        sizes.push(rows.length);
        if (sizes.length === 3) throw new Error("the disk is full");
        await all.addUsage(rows);
      },
    };
    const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
    const clock = new ManualClock();
    await using book = new UsageBook({ store, metrics: new Metrics(), namedKeys: 1, logger, clock });
    book.add(Array.from({ length: 1000 }, (_, index) => row(`team-${index}`)));
    await book.flush();
    expect(sizes).toEqual([256, 256, 256]);
    await book.flush();
    expect(sizes).toEqual([256, 256, 256, 256, 232]);
    const rows = await all.usage({ window: "day", from: 0, to: 1e15, by: ["key"], limit: 2000 });
    expect(rows.map(({ requests }) => requests)).toEqual(Array.from({ length: 1000 }, () => 1));
  });

  test("has a series for the first keys, and one for all others", () => {
    const { book, metrics } = setUp();
    book.add([row("a"), row("b", { errors: 1 }), row("c"), row("d"), row("a")]);
    const { keyRequests = [], keyTokens = [] } = metrics.snapshot();
    expect(keyRequests.map(({ labels, value }) => [...labels, value])).toEqual([
      ["a", "served", 2],
      ["b", "served", 0],
      ["b", "failed", 1],
      ["other", "served", 2],
    ]);
    expect(keyTokens.map(({ labels, value }) => [...labels, value])).toEqual([
      ["a", "prompt", 6],
      ["a", "completion", 4],
      ["b", "prompt", 3],
      ["b", "completion", 2],
      ["other", "prompt", 6],
      ["other", "completion", 4],
    ]);
  });
});

describe("a thread's count", () => {
  test("is passed on once a second, and at the end, each request once", () => {
    const clock = new ManualClock();
    const passed: (readonly UsageRow[])[] = [];
    const tally = new UsageTally(
      (rows) => passed.push(rows),
      clock,
      () => 90_000,
    );
    const record = new RequestRecord("id", "chat", { settle: ignore }, clock);
    record.tokens = { promptTokens: 5, completionTokens: 7, cachedTokens: undefined };
    tally.count("a", "m", record);
    tally.count("a", "m", record);
    record.errorCode = "upstream_error";
    tally.count("a", "n", record);
    expect(passed).toEqual([]);
    clock.advance(1000);
    const sum = { isBearer: false, minute: 60_000, cachedTokens: 0 };
    expect(passed).toEqual([
      [
        { key: "a", model: "m", requests: 2, errors: 0, promptTokens: 10, completionTokens: 14, ...sum },
        { key: "a", model: "n", requests: 1, errors: 1, promptTokens: 5, completionTokens: 7, ...sum },
      ],
    ]);
    clock.advance(1000);
    expect(passed).toHaveLength(1);
    tally.count("b", "m", record);
    tally[Symbol.dispose]();
    expect(passed[1]?.map(({ key, requests }) => [key, requests])).toEqual([["b", 1]]);
    expect(clock.pending).toBe(0);
  });
});
