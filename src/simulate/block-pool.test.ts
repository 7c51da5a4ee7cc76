import { expect, test } from "bun:test";
import fc from "fast-check";
import { BlockPool } from "./block-pool.ts";

const ids = (...numbers: number[]) => Int32Array.from(numbers);

test("a block that nobody pins stays until its room is needed, the one unpinned first goes first", () => {
  const pool = new BlockPool(2);
  for (const id of [1, 2]) {
    pool.reserve(1);
    pool.name(id);
  }
  pool.unpin(2);
  pool.unpin(1);
  expect([pool.free, pool.hits(ids(1, 2), 2)]).toEqual([2, 2]);
  pool.reserve(1);
  expect([pool.isCached(2), pool.isCached(1)]).toEqual([false, true]);
});

test("a block that is pinned twice is evicted only after both have let it go", () => {
  const pool = new BlockPool(1);
  pool.touch(7);
  pool.pin(7);
  pool.pin(7);
  pool.unpin(7);
  expect(pool.free).toBe(0);
  pool.unpin(7);
  expect([pool.free, pool.isCached(7)]).toEqual([1, true]);
});

test("a block that turns out to be cached already gives its room back", () => {
  const pool = new BlockPool(3);
  pool.touch(5);
  pool.reserve(1);
  pool.name(5);
  expect([pool.used, pool.cached]).toEqual([1, 1]);
});

test("hits end at the first block that is missing", () => {
  const pool = new BlockPool(4);
  for (const id of [1, 3]) pool.touch(id);
  expect(pool.hits(ids(1, 2, 3), 3)).toBe(1);
});

/** A pool with the operations that a sequence of numbers stands for. */
function played(pool: BlockPool, moves: readonly number[], pinned: number[]): void {
  for (const move of moves) {
    const id = 1 + (move % 13);
    const kind = Math.floor(move / 13) % 4;
    if (kind === 0 && pool.free > 0 && !pool.isCached(id)) pool.touch(id);
    if (kind === 1 && pool.isCached(id) && !pinned.includes(id)) {
      pool.pin(id);
      pinned.push(id);
    }
    if (kind === 2 && pinned.length > 0) pool.unpin(pinned.shift() ?? 0);
    if (kind === 3 && pool.free > 0) {
      pool.reserve(1);
      pool.name(id);
      pinned.push(id);
    }
  }
}

/** Everything that can be seen of a pool: the order of eviction, too. */
function seen(pool: BlockPool): unknown {
  const cached = Array.from({ length: 13 }, (_, index) => pool.isCached(index + 1));
  return { free: pool.free, used: pool.used, count: pool.cached, cached };
}

const MOVES = fc.array(fc.nat(51), { maxLength: 80 });

test("a pool never holds more blocks than fit, whatever happens", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), MOVES, (capacity, moves) => {
      const pool = new BlockPool(capacity);
      played(pool, moves, []);
      expect(pool.cached).toBeLessThanOrEqual(capacity);
      expect(pool.free).toBeGreaterThanOrEqual(0);
    }),
  );
});

test("what is rolled back leaves no trace, in the order of eviction neither", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), MOVES, MOVES, MOVES, (capacity, before, between, after) => {
      const [pool, other] = [new BlockPool(capacity), new BlockPool(capacity)];
      const [pinned, others]: [number[], number[]] = [[], []];
      played(pool, before, pinned);
      played(other, before, others);
      pool.begin();
      played(pool, between, [...pinned]);
      pool.rollBack();
      played(pool, after, pinned);
      played(other, after, others);
      expect(seen(pool)).toEqual(seen(other));
    }),
  );
});
