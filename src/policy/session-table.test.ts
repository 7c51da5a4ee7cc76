import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { SessionTable } from "./session-table.ts";

/** A table on memory that several may share. */
function setUp(options: { maxIdleSecs?: number; maxSessions?: number } = {}) {
  let memory: SharedArrayBuffer | undefined;
  const make = (): SessionTable =>
    new SessionTable(
      { maxIdleSecs: 100, maxSessions: 64, ...options },
      (bytes) => (memory ??= new SharedArrayBuffer(bytes)),
    );
  return { table: make(), make };
}

function give(table: SessionTable, key: string, slot: number, nowMs = 0): void {
  table.find(key, nowMs);
  table.assign(slot, nowMs);
}

describe("a table of sessions", () => {
  test("knows the last worker of each session, as a map would, while it is not full", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string({ maxLength: 3 }), fc.nat(9)), { maxLength: 60 }), (given) => {
        const { table } = setUp({ maxSessions: 4096 });
        const map = new Map<string, number>();
        for (const [key, slot] of given) {
          expect(table.find(key, 0)).toBe(map.get(key) ?? -1);
          table.assign(slot, 0);
          map.set(key, slot);
        }
        for (const [key, slot] of map) expect(table.find(key, 0)).toBe(slot);
        expect(table.size(0)).toBe(map.size);
        for (let slot = 0; slot < 10; slot += 1) {
          expect(table.sessionsOf(slot, 0)).toBe([...map.values()].filter((one) => one === slot).length);
        }
      }),
    );
  });

  test("never holds more sessions than it may, and keeps those with the latest requests", () => {
    const { table } = setUp({ maxSessions: 64 });
    for (let index = 0; index < 1000; index += 1) give(table, `old ${index}`, 1, 1000);
    for (let index = 0; index < 20; index += 1) give(table, `new ${index}`, 2, 2000);
    expect(table.size(2000)).toBeLessThanOrEqual(64);
    const kept = Array.from({ length: 20 }, (_, index) => table.find(`new ${index}`, 2000)).filter(
      (slot) => slot === 2,
    );
    expect(kept.length).toBeGreaterThan(15);
  });

  test("forgets a session that had no request for too long, and counts the time from its last one", () => {
    const { table } = setUp({ maxIdleSecs: 100 });
    give(table, "a", 3, 0);
    expect(table.find("a", 99_000)).toBe(3);
    table.keep(99_000);
    expect(table.find("a", 198_000)).toBe(3);
    expect(table.find("a", 199_000)).toBe(-1);
    expect(table.size(199_000)).toBe(0);
  });

  test("counts no idle sessions of a worker once it has counted anew", () => {
    const { table } = setUp({ maxIdleSecs: 5 });
    give(table, "a", 3, 0);
    give(table, "b", 3, 9000);
    expect(table.sessionsOf(3, 9000)).toBe(2);
    expect(table.sessionsOf(3, 11_000)).toBe(1);
  });

  test("forgets a finished session, and says whether it knew it", () => {
    const { table } = setUp();
    give(table, "a", 3);
    expect([table.finish("a", 0), table.finish("a", 0), table.finish("b", 0)]).toEqual([true, false, false]);
    expect([table.find("a", 0), table.sessionsOf(3, 0), table.outcomes("finished")]).toEqual([-1, 0, 1]);
  });

  test("forgets all sessions of a worker that left, and no others", () => {
    const { table } = setUp();
    give(table, "a", 3);
    give(table, "b", 4);
    table.forget(3);
    expect([table.find("a", 0), table.find("b", 0)]).toEqual([-1, 4]);
  });

  test("is one table for all threads", () => {
    const { table, make } = setUp();
    const other = make();
    give(table, "a", 3);
    table.note("new");
    expect([other.find("a", 0), other.outcomes("new")]).toEqual([3, 1]);
    other.assign(5, 0);
    expect(table.find("a", 0)).toBe(5);
  });
});
