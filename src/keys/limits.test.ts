import { describe, expect, test } from "bun:test";
import { fixed, keyNamed, ringOf } from "../../test/support/keys.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { refusal } from "../../test/support/refusal.ts";
import { UNLIMITED } from "./key-record.ts";
import { type KeyRing, openThreadKeys } from "./key-ring.ts";
import { behindControl, noteControlClock } from "./limits.ts";
import type { Limits, Principal } from "./principal.ts";

function create(
  said: Partial<Limits>,
  threads = 1,
): { clock: ManualClock; ring: KeyRing; principal: Principal; limits: Limits } {
  const clock = new ManualClock();
  const limits = { ...UNLIMITED, ...said };
  const ring = ringOf(fixed([keyNamed("a", { limits }), keyNamed("b", { limits })]), { clock, threads });
  const found = ring.table().find("a");
  if (typeof found !== "object") throw new Error("there is no such key");
  return { clock, ring, principal: found.principal, limits };
}

describe("requests at once", () => {
  test("are bounded by key, and leave when they are over", () => {
    const { ring, principal, limits } = create({ maxConcurrent: 2 });
    const counts = ring.limits();
    counts.enter(principal, limits);
    counts.enter(principal, limits);
    expect(refusal(() => counts.enter(principal, limits))).toEqual(["rate_limit_exceeded", 429, 1]);
    expect(refusal(() => counts.check(principal, limits))).toEqual(["rate_limit_exceeded", 429, 1]);
    const other = ring.table().find("b");
    if (typeof other === "object") counts.enter(other.principal, limits);
    counts.leave(principal, limits);
    expect(refusal(() => counts.enter(principal, limits))).toEqual([]);
  });

  test("hold over all threads, and those of a thread that dies are given back", () => {
    const { clock, ring, principal, limits } = create({ maxConcurrent: 3 }, 2);
    ring.noteClock();
    const [one, two] = [0, 1].map((thread) => openThreadKeys(ring.memory.buffer, thread, clock).limits);
    one?.enter(principal, limits);
    two?.enter(principal, limits);
    two?.enter(principal, limits);
    expect(refusal(() => one?.enter(principal, limits))[0]).toBe("rate_limit_exceeded");
    ring.releaseThread(1);
    for (const _ of [1, 2]) expect(refusal(() => one?.enter(principal, limits))).toEqual([]);
    expect(refusal(() => one?.enter(principal, limits))[0]).toBe("rate_limit_exceeded");
  });
});

describe("requests a minute", () => {
  test("are bounded, with the time until the next", () => {
    const { clock, ring, principal, limits } = create({ requestsPerMinute: 6, maxConcurrent: 1 });
    const counts = ring.limits();
    const come = (): unknown[] =>
      refusal(() => {
        counts.enter(principal, limits);
        counts.leave(principal, limits);
      });
    for (let count = 0; count < 6; count += 1) expect(come()).toEqual([]);
    expect(come()).toEqual(["rate_limit_exceeded", 429, 10]);
    clock.advance(10_000);
    expect(come()).toEqual([]);
    // One that is refused holds no place: the bound of requests at once is one.
    expect(come()).toEqual(["rate_limit_exceeded", 429, 10]);
    expect(refusal(() => counts.check(principal, limits))).toEqual(["rate_limit_exceeded", 429, 10]);
  });

  test("are counted by one clock, though each thread's begins at another time", () => {
    const { clock, ring, principal, limits } = create({ requestsPerMinute: 1 }, 2);
    clock.advance(500_000);
    noteControlClock(ring.memory, clock, () => 1_000_000);
    const late = new ManualClock();
    expect(behindControl(ring.memory, late, () => 1_000_000)).toBe(500_000);
    ring.limits().enter(principal, limits);
    ring.noteClock();
    const counts = openThreadKeys(ring.memory.buffer, 1, late).limits;
    expect(refusal(() => counts.enter(principal, limits))[0]).toBe("rate_limit_exceeded");
    late.advance(61_000);
    expect(refusal(() => counts.enter(principal, limits))).toEqual([]);
  });

  test("are given back by a request for which no work was done", () => {
    const { ring, principal, limits } = create({ requestsPerMinute: 1 });
    const counts = ring.limits();
    counts.enter(principal, limits);
    counts.takeBack(principal, limits);
    expect(refusal(() => counts.enter(principal, limits))).toEqual([]);
  });
});

describe("tokens a minute", () => {
  test("are taken by estimate, and corrected to what was used", () => {
    const { clock, ring, principal, limits } = create({ tokensPerMinute: 600 });
    const counts = ring.limits();
    counts.reserve(principal, limits, 500);
    expect(refusal(() => counts.reserve(principal, limits, 200))).toEqual(["rate_limit_exceeded", 429, 10]);
    expect(counts.states(principal, limits)).toEqual({
      requests: undefined,
      tokens: { limit: 600, remaining: 100, resetMs: 50_000 },
    });
    counts.correct(principal, limits, -400);
    expect(counts.states(principal, limits).tokens?.remaining).toBe(500);
    counts.correct(principal, limits, 800);
    expect(refusal(() => counts.reserve(principal, limits, 1))).toEqual(["rate_limit_exceeded", 429, 31]);
    clock.advance(31_000);
    expect(refusal(() => counts.reserve(principal, limits, 1))).toEqual([]);
  });

  test("that a request could never get are told at once, with no time to wait for", () => {
    const { ring, principal, limits } = create({ tokensPerMinute: 100 });
    expect(refusal(() => ring.limits().reserve(principal, limits, 101))).toEqual([
      "request_over_limit",
      429,
      undefined,
    ]);
    expect(ring.limits().states(principal, limits).tokens?.remaining).toBe(100);
  });
});

test("what a key has used stays when the key is changed", () => {
  const { ring, principal, limits } = create({ requestsPerMinute: 10 });
  for (let count = 0; count < 8; count += 1) ring.limits().enter(principal, limits);
  const changed = { ...limits, requestsPerMinute: 20 };
  ring.replace(fixed([keyNamed("a", { limits: changed })]));
  expect(ring.limits().states(principal, changed).requests?.remaining).toBe(4);
});
