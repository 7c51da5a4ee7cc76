import { describe, expect, test } from "bun:test";
import { BREAKER_SETTINGS } from "../../test/support/fleet.ts";
import { ManualClock } from "../util/clock.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";

describe("breaker", () => {
  const create = (settings = {}): { breaker: CircuitBreaker; clock: ManualClock } => {
    const clock = new ManualClock();
    return { breaker: new CircuitBreaker({ ...BREAKER_SETTINGS, ...settings }, clock), clock };
  };
  const fault = (breaker: CircuitBreaker, times: number): void => {
    for (let count = 0; count < times; count += 1) breaker.onFault();
  };

  test("opens with enough faults, and not with rare ones among many answers", () => {
    const { breaker } = create();
    fault(breaker, 3);
    expect(breaker.state).toBe("closed");
    breaker.onFault();
    expect(breaker.state).toBe("open");
    const busy = create().breaker;
    for (let count = 0; count < 50; count += 1) busy.onSuccess();
    fault(busy, 20);
    expect(busy.state).toBe("closed");
  });

  test("faults that are older than the window do not count", () => {
    const { breaker, clock } = create();
    fault(breaker, 3);
    clock.advance(12_000);
    fault(breaker, 3);
    expect(breaker.state).toBe("closed");
  });

  test("half-open lets one probe through at a time, and closes after enough of them", () => {
    const { breaker, clock } = create();
    fault(breaker, 4);
    expect(breaker.tryAcquireProbe()).toBe(false);
    clock.advance(1000);
    expect(breaker.state).toBe("half_open");
    expect([breaker.tryAcquireProbe(), breaker.tryAcquireProbe()]).toEqual([true, false]);
    breaker.onSuccess();
    expect([breaker.state, breaker.tryAcquireProbe()]).toEqual(["half_open", true]);
    breaker.onSuccess();
    expect(breaker.state).toBe("closed");
  });

  test("a probe that fails opens it again, for twice as long", () => {
    const { breaker, clock } = create();
    fault(breaker, 4);
    clock.advance(1000);
    breaker.tryAcquireProbe();
    breaker.onFault();
    clock.advance(1999);
    expect(breaker.state).toBe("open");
    clock.advance(1);
    expect(breaker.state).toBe("half_open");
  });

  test("a probe whose client left says nothing, and another may follow", () => {
    const { breaker, clock } = create();
    fault(breaker, 4);
    clock.advance(1000);
    breaker.tryAcquireProbe();
    breaker.releaseProbe();
    expect(breaker.tryAcquireProbe()).toBe(true);
  });

  test("disabled, it never opens", () => {
    const { breaker } = create({ disabled: true });
    fault(breaker, 100);
    expect(breaker.state).toBe("closed");
  });
});
