import { expect, test } from "bun:test";
import { Handover, PendingHandover } from "./handover.ts";
import { stateBytes } from "./shared-layout.ts";

function create(): Handover {
  return new Handover(new Float64Array(stateBytes(1) / 8));
}

/** A hand-over that began after 500 ms. */
function begun(tokens: number): PendingHandover {
  const pending = new PendingHandover(tokens);
  pending.beganAfterMs = 500;
  return pending;
}

test("before one was seen it takes 3 ms and 10 µs for each token", () => {
  const handover = create();
  expect([handover.costS(0), handover.costS(1000)]).toEqual([expect.closeTo(0.003, 9), expect.closeTo(0.013, 9)]);
});

test("both times are learned from the time between the prefill's end and decode's first token", () => {
  const handover = create();
  for (let seen = 0; seen < 200; seen += 1) {
    const tokens = [200, 2000, 8000, 30_000][seen % 4] ?? 0;
    handover.firstToken(begun(tokens), 500 + 20 + tokens * 0.04, seen);
  }
  expect(handover.costS(0)).toBeCloseTo(0.02, 2);
  expect(handover.costS(10_000) / 0.42).toBeCloseTo(1, 1);
});

test("a decode worker that answers before the prefill's end is known says nothing", () => {
  const handover = create();
  handover.firstToken(new PendingHandover(1000), 800, 1);
  expect(handover.costS(1000)).toBeCloseTo(0.013, 9);
});

test("one stall moves it little", () => {
  const handover = create();
  for (let seen = 0; seen < 50; seen += 1) handover.firstToken(begun(1000), 513, seen);
  handover.firstToken(begun(1000), 30_500, 51);
  expect(handover.costS(1000)).toBeLessThan(0.016);
});
