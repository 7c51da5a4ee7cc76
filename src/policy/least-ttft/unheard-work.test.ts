import { describe, expect, test } from "bun:test";
import { UnheardWork } from "./unheard-work.ts";

describe("work of other gateways that has not been heard of", () => {
  test("is nothing before there is news, and where news comes at once", () => {
    const unheard = new UnheardWork("one");
    expect(unheard.expected(1)).toBe(0);
    for (let now = 1; now < 100; now += 1) unheard.heard(now, now, 1000);
    expect(unheard.expected(100)).toBe(0);
  });

  test("is what others send in the time that news takes", () => {
    const unheard = new UnheardWork("one");
    for (let now = 0; now < 200; now += 0.1) unheard.heard(now, now - 0.2, 500);
    // 5,000 tokens a second for 0.2 s.
    expect(unheard.expected(200)).toBeGreaterThan(980);
    expect(unheard.expected(200)).toBeLessThan(1020);
  });

  test("is forgotten when the others fall silent", () => {
    const unheard = new UnheardWork("one");
    for (let now = 0; now < 200; now += 0.1) unheard.heard(now, now - 0.2, 500);
    expect(unheard.expected(300)).toBeLessThan(10);
  });

  test("does not grow with a clock that is hours behind, nor get less than nothing with one that is ahead", () => {
    const behind = new UnheardWork("one");
    const ahead = new UnheardWork("one");
    for (let now = 0; now < 200; now += 0.1) {
      behind.heard(now, now - 7200, 500);
      ahead.heard(now, now + 7200, 500);
    }
    expect(behind.expected(200)).toBeLessThan(5.1 * 5000);
    expect(ahead.expected(200)).toBe(0);
  });

  test("is shared out over the workers in another way by each gateway, and always in the same", () => {
    const first = new UnheardWork("10.0.0.1:3000");
    const second = new UnheardWork("10.0.0.2:3000");
    const slots = Array.from({ length: 64 }, (_, slot) => slot);
    const shares = slots.map((slot) => first.shareOf(slot));
    expect(slots.map((slot) => new UnheardWork("10.0.0.1:3000").shareOf(slot))).toEqual(shares);
    for (const share of shares) {
      expect(share).toBeGreaterThanOrEqual(0);
      expect(share).toBeLessThan(2);
    }
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    expect(Math.abs(mean - 1)).toBeLessThan(0.3);
    const apart = slots.filter((slot) => Math.abs(first.shareOf(slot) - second.shareOf(slot)) > 0.2);
    expect(apart.length).toBeGreaterThan(32);
  });
});
