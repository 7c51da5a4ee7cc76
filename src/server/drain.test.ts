import { describe, expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { drain } from "./drain.ts";

interface Setup {
  readonly clock: ManualClock;
  readonly units: { active: number };
  /** The actions, with their times. */
  readonly done: readonly string[];
  start(times: { readonly delayMs: number; readonly graceMs: number }, reusePort?: boolean): Promise<void>;
}

function setUp(active: number): Setup {
  const clock = new ManualClock();
  const done: string[] = [];
  const note =
    (what: string) =>
    (error?: { readonly code: string }): void => {
      done.push(`${clock.now()}: ${what}${error ? ` ${error.code}` : ""}`);
    };
  const units = {
    active,
    beginToLeave: note("leave"),
    stopListening: note("stop listening"),
    failAll: note("fail"),
  };
  const sidePorts = { stopListening: note("side ports stop listening") };
  const gate = { refuseAll: note("refuse") };
  return {
    clock,
    units,
    done,
    start: (times, reusePort = false) => drain({ units, gate, reusePort, sidePorts, clock }, times),
  };
}

async function advance(clock: ManualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 20) {
    clock.advance(20);
    for (let turn = 0; turn < 4; turn += 1) await Promise.resolve();
  }
}

describe("a drain", () => {
  test("lets clients leave, waits, stops listening, and ends with the last request", async () => {
    const { clock, units, done, start } = setUp(3);
    let isOver = false;
    const draining = start({ delayMs: 1000, graceMs: 10_000 }).then(() => (isOver = true));
    await advance(clock, 1000);
    expect(done).toEqual(["0: leave", "1000: stop listening"]);
    await advance(clock, 2000);
    expect(isOver).toBe(false);
    units.active = 0;
    await advance(clock, 20);
    await draining;
    expect(done.slice(2)).toEqual(["3020: refuse server_shutting_down", "3020: fail server_shutting_down"]);
  });

  test("tells clients that are left half a second before the end of the grace, and waits for no other", async () => {
    const { clock, done, start } = setUp(1);
    // It begins with the first step of the clock, at 20 ms.
    const draining = start({ delayMs: 0, graceMs: 2000 });
    await advance(clock, 2020);
    await draining;
    expect(done.slice(2)).toEqual(["1520: refuse server_shutting_down", "1520: fail server_shutting_down"]);
  });

  test("leaves the other ports to the gateway that shares them, and keeps them where none does", async () => {
    const shared = setUp(0);
    const sharing = shared.start({ delayMs: 0, graceMs: 1000 }, true);
    await advance(shared.clock, 20);
    await sharing;
    expect(shared.done.slice(0, 2)).toEqual(["0: leave", "0: side ports stop listening"]);
    const alone = setUp(0);
    const draining = alone.start({ delayMs: 0, graceMs: 1000 });
    await advance(alone.clock, 20);
    await draining;
    expect(alone.done.join()).not.toContain("side ports");
  });
});
