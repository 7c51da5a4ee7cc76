import { describe, expect, test } from "bun:test";
import { Ahead, tight } from "./ahead.ts";

/** An account of so many bytes. */
function account(most = Number.POSITIVE_INFINITY): {
  held: number;
  take(bytes: number): boolean;
  giveBack(bytes: number): void;
} {
  return {
    held: 0,
    take(bytes) {
      if (this.held + bytes > most) return false;
      this.held += bytes;
      return true;
    },
    giveBack(bytes) {
      this.held -= bytes;
    },
  };
}

describe("what lies ahead", () => {
  test("is counted as its buffer until it is taken", () => {
    const bytes = account();
    const ahead = new Ahead(bytes);
    expect(ahead.put(Buffer.from("abc"), 1000)).toBe(true);
    expect([ahead.length, ahead.held, bytes.held]).toEqual([3, 1000, 1000]);
    expect([String(ahead.take()), ahead.length, bytes.held]).toEqual(["abc", 0, 0]);
  });

  test("takes the place of what lay there before", () => {
    const bytes = account();
    const ahead = new Ahead(bytes);
    ahead.put(Buffer.alloc(100), 100);
    ahead.put(Buffer.alloc(30), 40);
    expect([ahead.length, bytes.held]).toEqual([30, 40]);
    ahead.put(Buffer.alloc(0), 40);
    expect([ahead.length, bytes.held]).toEqual([0, 0]);
  });

  test("is a copy where it is little of a large buffer, and is not copied again and again", () => {
    const large = Buffer.alloc(500_000, "x");
    const bytes = account();
    const ahead = new Ahead(bytes);
    let rest: Buffer = large;
    let whole = large.length;
    let copied = 0;
    while (rest.length > 100) {
      ahead.put(rest.subarray(100), whole);
      whole = ahead.held;
      const next = ahead.take();
      if (next.buffer !== rest.buffer) copied += next.length;
      rest = next;
      expect(whole).toBeLessThanOrEqual(Math.max(2 * rest.length, rest.length + 4096) + 200);
    }
    expect(copied).toBeLessThanOrEqual(large.length);
  });

  test("is not kept where there is no room", () => {
    const bytes = account(10);
    const ahead = new Ahead(bytes);
    expect([ahead.put(Buffer.alloc(11), 11), ahead.length, bytes.held]).toEqual([false, 0, 0]);
  });
});

test("a part of a buffer is copied where most of the buffer would be kept for it", () => {
  const large = Buffer.alloc(100_000);
  expect(tight(large.subarray(10), large.length).buffer).toBe(large.buffer);
  expect(tight(large.subarray(90_000), large.length).buffer).not.toBe(large.buffer);
  expect(tight(large.subarray(90_000), large.length).length).toBe(10_000);
});
