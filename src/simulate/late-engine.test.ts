import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { idleTtftMs, LAB_ENGINE, V1_ENGINE } from "./engine-models.ts";
import type { EngineRequest } from "./engine-sequence.ts";
import { SimEngine } from "./engine.ts";
import { LateEngine } from "./late-engine.ts";
import { VirtualTime } from "./virtual-time.ts";

const LATE_MS = 100;
const NEVER = Number.POSITIVE_INFINITY;

function requestOf(promptTokens: number, family: number): EngineRequest {
  const blocks = Int32Array.from({ length: Math.floor(promptTokens / 16) }, (_, index) => family * 10_000 + index);
  return { blocks, promptTokens, outputTokens: 20, receivedTokens: 0 };
}

/** An engine, and the same one seen late, on one clock. */
function seenLate(engine = V1_ENGINE) {
  const time = new VirtualTime();
  const spec = { engine, kvTokens: 40_000, slowness: 1, joinsAtMs: 0 };
  const now = new SimEngine(
    { model: engine, kvTokens: 40_000, slowness: 1 },
    { onFirstToken: () => undefined, onDone: () => undefined },
  );
  const late = new LateEngine(spec, time, LATE_MS);
  const runUntil = (at: number): void => {
    while (time.nextAt <= at) time.fireNext();
    time.moveTo(at);
    now.advanceTo(at);
  };
  const submit = (gateway: string, request: EngineRequest): void => {
    now.submit(time.now(), request, 0);
    late.submit(gateway, request);
  };
  return { now, late, runUntil, submit };
}

describe.each([V1_ENGINE, LAB_ENGINE])("an engine that is seen late: $name", (model) => {
  test("is known exactly to a gateway that has sent all that it got", () => {
    const arrivals = fc.array(
      fc.record({
        pauseMs: fc.double({ min: 0.1, max: 150, noNaN: true }),
        promptTokens: fc.integer({ min: 1, max: 9000 }),
        family: fc.integer({ min: 0, max: 3 }),
      }),
      { minLength: 1, maxLength: 25 },
    );
    fc.assert(
      fc.property(arrivals, (those) => {
        const { now, late, runUntil, submit } = seenLate(model);
        let at = 0;
        for (const { pauseMs, promptTokens, family } of those) {
          at += pauseMs;
          runUntil(at);
          const request = requestOf(promptTokens, family);
          expect(late.predictTtftMs("one", request, NEVER)).toBeCloseTo(now.predictTtftMs(at, request), 6);
          submit("one", request);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("is known to another gateway as it was before", () => {
    const { now, late, runUntil, submit } = seenLate(model);
    const request = requestOf(4000, 1);
    runUntil(10);
    submit("one", requestOf(8000, 0));
    runUntil(10 + LATE_MS - 1);
    expect(late.predictTtftMs("two", request, NEVER)).toBeCloseTo(idleTtftMs(model, 4000, 0), 6);
    expect(late.predictTtftMs("one", request, NEVER)).toBeGreaterThan(idleTtftMs(model, 4000, 0) + 100);
    runUntil(10 + LATE_MS);
    const at = 10 + LATE_MS;
    expect(late.predictTtftMs("two", request, NEVER)).toBeCloseTo(now.predictTtftMs(at, request), 6);
  });

  test("is seen late to stand still", () => {
    const { late, runUntil } = seenLate(model);
    const request = requestOf(1000, 0);
    const idleMs = idleTtftMs(model, 1000, 0);
    runUntil(10);
    late.later((twin, at) => twin.freeze(at, 1000));
    runUntil(10 + LATE_MS - 1);
    expect(late.predictTtftMs("one", request, NEVER)).toBeCloseTo(idleMs, 6);
    runUntil(10 + LATE_MS);
    expect(late.predictTtftMs("one", request, NEVER)).toBeCloseTo(1000 - LATE_MS + idleMs, 6);
  });
});
