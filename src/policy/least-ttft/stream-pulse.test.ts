import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { stateBytes } from "./shared-layout.ts";
import { StreamPulse } from "./stream-pulse.ts";

/** An overhead that bounds no step of these tests, s. */
const LONG_S = 10;

let pulse = new StreamPulse(new Float64Array(0));

beforeEach(() => {
  pulse = new StreamPulse(new Float64Array(stateBytes(1) / 8));
});

/** Steps of a worker, each of which gives so many streams a token, a tenth of a millisecond apart. Returns the time of the last step's first one. */
function steps(slot: number, streams: number, stepS: number, count = 4, from = 100): number {
  let at = from;
  for (let step = 0; step < count; step += 1) {
    at = from + step * stepS;
    for (let stream = 0; stream < streams; stream += 1) pulse.heard(slot, at + stream / 1e4);
  }
  return at;
}

describe("the step in progress", () => {
  test("ends up to half a step later than on average where it has just begun, and earlier where it is nearly over", () => {
    const at = steps(0, 3, 0.04);
    expect(pulse.untilNextStepS(0, at, LONG_S)).toBeCloseTo(0.02, 9);
    expect(pulse.untilNextStepS(0, at + 0.02, LONG_S)).toBeCloseTo(0, 9);
    expect(pulse.untilNextStepS(0, at + 0.04, LONG_S)).toBeCloseTo(-0.02, 9);
    expect(pulse.untilNextStepS(0, at + 5, LONG_S)).toBeCloseTo(-0.02, 9);
  });

  test("says nothing of a wait that began before it", () => {
    const at = steps(0, 3, 0.04);
    expect(pulse.untilNextStepS(0, at - 0.001, LONG_S)).toBe(0);
  });

  test("is not known of a worker that gave no tokens", () => {
    expect(pulse.untilNextStepS(7, 100, LONG_S)).toBe(0);
    pulse.heard(7, 100);
    expect(pulse.untilNextStepS(7, 100, LONG_S)).toBe(0);
  });

  test("is not as long as a silence, or a prefill, that came before it", () => {
    for (const silence of [0.3, 0.9, 60]) {
      const at = steps(0, 3, 0.04, 4, 100 + silence) + silence;
      pulse.heard(0, at);
      expect(pulse.untilNextStepS(0, at, LONG_S)).toBeLessThanOrEqual(0.04 + 1e-9);
    }
  });

  test("is as long as the steps of decoding: a first token, which a prefill came before, does not tell", () => {
    const at = steps(0, 3, 0.04);
    pulse.began(0, at + 0.5);
    expect(pulse.untilNextStepS(0, at + 0.5, LONG_S)).toBeCloseTo(0.02, 9);
  });

  test("moves the wait by at most half of the worker's overhead, where pieces have several tokens", () => {
    const at = steps(0, 3, 0.16);
    expect(pulse.untilNextStepS(0, at, 0.03)).toBeCloseTo(0.015, 9);
    expect(pulse.untilNextStepS(0, at + 0.08, 0.03)).toBeCloseTo(0, 9);
    expect(pulse.untilNextStepS(0, at + 0.16, 0.03)).toBeCloseTo(-0.015, 9);
  });

  test("never moves the wait by more than half a step, and on average not at all", () => {
    fc.assert(
      fc.property(fc.integer({ min: 5, max: 900 }), fc.integer({ min: 1, max: 60 }), (stepMs, streams) => {
        pulse = new StreamPulse(new Float64Array(stateBytes(1) / 8));
        const stepS = stepMs / 1000;
        const at = steps(0, Math.min(streams, 1 + Math.floor(stepMs / 3)), stepS, 12);
        const shares = Array.from({ length: 100 }, (_, part) => (part + 0.5) / 100);
        const moves = shares.map((share) => pulse.untilNextStepS(0, at + share * stepS, LONG_S));
        expect(Math.max(...moves.map(Math.abs))).toBeLessThanOrEqual(stepS / 2 + 1e-9);
        expect(moves.reduce((sum, move) => sum + move, 0) / 100).toBeCloseTo(0, 6);
      }),
    );
  });
});

describe("a worker whose streams get no tokens", () => {
  const silentAfter = (seconds: number, streams = 3, decoding = streams): number => {
    const at = steps(0, streams, 0.02) + seconds;
    return pulse.silentS(0, decoding, at, at);
  };

  test("is silent after three steps and 30 ms, and each further second counts as three, up to five", () => {
    expect([silentAfter(0.02), silentAfter(0.08)]).toEqual([0, 0]);
    expect(silentAfter(0.19)).toBeCloseTo(0.3, 9);
    expect(silentAfter(0.29)).toBeCloseTo(0.6, 9);
    expect(silentAfter(60)).toBe(5);
  });

  test("is not called silent where one stream alone is: it may wait for its client", () => {
    expect(silentAfter(10, 1)).toBe(0);
    expect(silentAfter(10, 3, 1)).toBe(0);
  });

  test("has the time of a prefill that began after the last tokens, and none if it was silent before", () => {
    const at = steps(0, 3, 0.02);
    expect(pulse.silentS(0, 3, at + 0.01, at + 4)).toBe(0);
    expect(pulse.silentS(0, 3, at + 0.19, at + 0.29)).toBeCloseTo(3 * 0.2, 9);
  });

  test("is heard again with its next token", () => {
    const at = steps(0, 3, 0.02);
    pulse.heard(0, at + 6);
    expect(pulse.silentS(0, 3, at + 6, at + 6)).toBe(0);
  });

  test("says nothing about other workers", () => {
    const at = steps(0, 3, 0.02) + 6;
    expect(pulse.silentS(1, 3, at, at)).toBe(0);
  });
});
