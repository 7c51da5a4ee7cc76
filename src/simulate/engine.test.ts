import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type EngineModel, idleTtftMs, LAB_ENGINE, V1_ENGINE } from "./engine-models.ts";
import type { EngineRequest } from "./engine-sequence.ts";
import { type EngineEvents, SimEngine } from "./engine.ts";

interface Times {
  firstAt: number;
  doneAt: number;
  cached: number;
  tokens: number;
}

/** An engine that writes down when each request got its tokens, by tag. */
function listened(model: EngineModel, kvTokens: number, isEachToken = false) {
  const times = new Map<number, Times>();
  const events: EngineEvents = {
    onFirstToken: ({ tag, cachedTokens }, at) =>
      void times.set(tag, { firstAt: at, doneAt: 0, cached: cachedTokens, tokens: 1 }),
    onDone: ({ tag, generated }, at) => {
      const one = times.get(tag);
      if (one) Object.assign(one, { doneAt: at, tokens: generated });
    },
    ...(isEachToken ? { onToken: () => undefined } : {}),
  };
  return { engine: new SimEngine({ model, kvTokens, slowness: 1 }, events), times };
}

/** Runs until a time, and by default until nothing is left to do. */
function runUntil(engine: SimEngine, until = Number.MAX_VALUE): void {
  while (engine.nextAt <= until) engine.advance();
}

/** A request whose first blocks are those of a family, so that some share a prefix. */
function requestOf(
  promptTokens: number,
  outputTokens: number,
  family: number,
  tag: number,
  model: EngineModel,
): EngineRequest {
  const whole = Math.floor((promptTokens + outputTokens) / model.blockTokens);
  // Answers are texts of their own.
  const shared = Math.floor(Math.min(family * 64, promptTokens) / model.blockTokens);
  const blocks = Int32Array.from({ length: whole }, (_, index) =>
    index < shared ? 1 + family * 1000 + index : 100_000 + tag * 2000 + index,
  );
  return { blocks, promptTokens, outputTokens, receivedTokens: 0 };
}

interface Arrival {
  readonly at: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly family: number;
}

const ARRIVALS: fc.Arbitrary<Arrival[]> = fc
  .array(
    fc.record({
      at: fc.double({ min: 0, max: 3000, noNaN: true }),
      promptTokens: fc.integer({ min: 1, max: 6000 }),
      outputTokens: fc.integer({ min: 1, max: 120 }),
      family: fc.integer({ min: 0, max: 8 }),
    }),
    { minLength: 1, maxLength: 25 },
  )
  .map((some) => some.toSorted((a, b) => a.at - b.at));

/** The two orders of scheduling, each with much and with hardly enough memory. */
const ENGINES: readonly (readonly [string, EngineModel, number])[] = [
  ["lab", LAB_ENGINE, 120_000],
  ["lab with a tiny cache", LAB_ENGINE, 4000],
  ["v1", V1_ENGINE, 300_000],
  ["v1 with hardly any memory", V1_ENGINE, 6400],
];

function play(engine: SimEngine, model: EngineModel, arrivals: readonly Arrival[], each?: () => void): void {
  for (const [tag, { at, promptTokens, outputTokens, family }] of arrivals.entries()) {
    while (engine.nextAt <= at) {
      engine.advance();
      each?.();
    }
    engine.submit(at, requestOf(promptTokens, outputTokens, family, tag, model), tag);
    each?.();
  }
  while (engine.nextAt < Number.POSITIVE_INFINITY) {
    engine.advance();
    each?.();
  }
}

describe.each(ENGINES)("an engine in virtual time: %s", (_, model, kvTokens) => {
  test("gives each request all of its tokens, the first one after its arrival, and no block is left in use", () => {
    fc.assert(
      fc.property(ARRIVALS, (arrivals) => {
        const { engine, times } = listened(model, kvTokens);
        play(engine, model, arrivals);
        for (const [tag, { at, outputTokens }] of arrivals.entries()) {
          const one = times.get(tag);
          expect(one?.tokens).toBe(outputTokens);
          expect(one?.firstAt).toBeGreaterThan(at);
          expect(one?.doneAt).toBeGreaterThanOrEqual(one?.firstAt ?? 0);
        }
        expect([engine.kvUsed, engine.running.length, engine.waiting.length]).toEqual([0, 0, 0]);
      }),
      { numRuns: 60 },
    );
  });

  test("never uses more of its memory than it has", () => {
    fc.assert(
      fc.property(ARRIVALS, (arrivals) => {
        const { engine } = listened(model, kvTokens);
        play(engine, model, arrivals, () => {
          expect(engine.kvUsed).toBeLessThanOrEqual(1);
          expect(engine.cachedTokens).toBeLessThanOrEqual(kvTokens);
        });
      }),
      { numRuns: 60 },
    );
  });

  test("is never idle while a request waits", () => {
    fc.assert(
      fc.property(ARRIVALS, (arrivals) => {
        const { engine } = listened(model, kvTokens);
        play(engine, model, arrivals, () => {
          const hasWork = engine.waiting.length + engine.running.length > 0;
          expect(engine.nextAt < Number.POSITIVE_INFINITY).toBe(hasWork);
        });
      }),
      { numRuns: 60 },
    );
  });

  test("gives first tokens in the order of arrival, as long as nothing is preempted", () => {
    fc.assert(
      fc.property(ARRIVALS, (arrivals) => {
        const { engine, times } = listened(model, kvTokens);
        play(engine, model, arrivals);
        if (engine.preemptions > 0) return;
        const firsts = arrivals.map((_, tag) => times.get(tag)?.firstAt ?? 0);
        expect(firsts).toEqual(firsts.toSorted((a, b) => a - b));
      }),
      { numRuns: 60 },
    );
  });

  test("comes to the same times where it skips over steps and where it tells of each token", () => {
    fc.assert(
      fc.property(ARRIVALS, (arrivals) => {
        const [skipping, telling] = [listened(model, kvTokens), listened(model, kvTokens, true)];
        play(skipping.engine, model, arrivals);
        play(telling.engine, model, arrivals);
        for (const [tag, one] of skipping.times) {
          const other = telling.times.get(tag);
          expect(one.firstAt).toBeCloseTo(other?.firstAt ?? 0, 5);
          expect(one.doneAt).toBeCloseTo(other?.doneAt ?? 0, 5);
          expect(one.cached).toBe(other?.cached ?? 0);
        }
        expect(skipping.engine.preemptions).toBe(telling.engine.preemptions);
      }),
      { numRuns: 60 },
    );
  });

  test("predicts the first token of a request exactly, if nothing comes after it, and is not changed by that", () => {
    fc.assert(
      fc.property(ARRIVALS, (arrivals) => {
        const { engine, times } = listened(model, kvTokens);
        const undisturbed = listened(model, kvTokens);
        const last = arrivals.length - 1;
        let expected = 0;
        for (const [tag, { at, promptTokens, outputTokens, family }] of arrivals.entries()) {
          runUntil(engine, at);
          const request = requestOf(promptTokens, outputTokens, family, tag, model);
          const predicted = engine.predictTtftMs(at, request);
          if (tag === last) expected = at + predicted;
          engine.submit(at, request, tag);
        }
        runUntil(engine);
        play(undisturbed.engine, model, arrivals);
        expect(times.get(last)?.firstAt).toBeCloseTo(expected, 6);
        expect([...times]).toEqual([...undisturbed.times]);
      }),
      { numRuns: 60 },
    );
  });

  test("needs the time of its model for a request that comes alone", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6000 }), (promptTokens) => {
        const { engine, times } = listened(model, kvTokens);
        engine.submit(100, requestOf(promptTokens, 1, 0, 0, model), 0);
        runUntil(engine);
        expect(times.get(0)?.firstAt).toBeCloseTo(100 + idleTtftMs(model, promptTokens, 0), 6);
      }),
    );
  });
});

describe("an engine", () => {
  const sibling = (tag: number, model: EngineModel) => ({ ...requestOf(4000, 2, 60, tag, model) });

  test("of the v1 order finds what another request has yet to prefill; one that looks early only what was prefilled by then", () => {
    for (const [model, cached] of [
      [V1_ENGINE, 3840],
      [LAB_ENGINE, 2048],
    ] as const) {
      const { engine, times } = listened(model, 100_000);
      engine.submit(0, sibling(1, model), 1);
      engine.submit(0, sibling(2, model), 2);
      engine.submit(0, sibling(3, model), 3);
      runUntil(engine);
      expect([times.get(1)?.cached, times.get(3)?.cached]).toEqual([0, cached]);
    }
  });

  test("finds the blocks of an answer that a later prompt holds", () => {
    const { engine, times } = listened(V1_ENGINE, 100_000);
    const blocks = Int32Array.from({ length: 40 }, (_, index) => index + 1);
    engine.submit(0, { blocks: blocks.subarray(0, 20), promptTokens: 160, outputTokens: 161, receivedTokens: 0 }, 1);
    runUntil(engine);
    engine.submit(90_000, { blocks, promptTokens: 640, outputTokens: 1, receivedTokens: 0 }, 2);
    runUntil(engine);
    expect(times.get(2)?.cached).toBe(320);
  });

  test("lets a request that was aborted go, whether it waits or runs, and reports nothing of it", () => {
    const { engine, times } = listened(V1_ENGINE, 6400);
    const running = engine.submit(0, requestOf(3000, 100, 0, 1, V1_ENGINE), 1);
    const waiting = engine.submit(0, requestOf(6000, 100, 0, 2, V1_ENGINE), 2);
    engine.advance();
    engine.abort(engine.nextAt - 1, waiting);
    engine.abort(engine.nextAt - 1, running);
    runUntil(engine);
    expect([times.get(1)?.tokens, times.has(2), engine.kvUsed]).toEqual([1, false, 0]);
  });

  test("takes a request that fills its last block, and says of a longer one that it does not fit", () => {
    const { engine, times } = listened(V1_ENGINE, 6410);
    const filling = requestOf(6390, 11, 0, 1, V1_ENGINE);
    expect([engine.fits(filling), engine.fits({ ...filling, outputTokens: 12 })]).toEqual([true, false]);
    engine.submit(0, filling, 1);
    runUntil(engine);
    expect([times.get(1)?.tokens, engine.preemptions, engine.waiting.length]).toEqual([11, 0, 0]);
  });

  test("predicts no first token of a prompt that is larger than its cache, and one where only the answer does not fit", () => {
    const { engine } = listened(V1_ENGINE, 6400);
    expect(engine.predictTtftMs(0, requestOf(6401, 1, 0, 1, V1_ENGINE))).toBe(Number.POSITIVE_INFINITY);
    const long = requestOf(6400, 1000, 0, 1, V1_ENGINE);
    expect(engine.predictTtftMs(0, long)).toBeCloseTo(idleTtftMs(V1_ENGINE, 6400, 0), 6);
  });

  test("shares the budget of one step among prompts: the second one gets what the first one leaves", () => {
    const { engine } = listened(V1_ENGINE, 300_000);
    engine.submit(0, requestOf(1, 1, 0, 0, V1_ENGINE), 0);
    engine.submit(0, requestOf(5000, 1, 0, 1, V1_ENGINE), 1);
    engine.submit(0, requestOf(5000, 1, 0, 2, V1_ENGINE), 2);
    engine.advance();
    expect(engine.running.map(({ scheduled }) => scheduled)).toEqual([5000, 3192]);
  });

  test("resumes a request that was preempted before those that came after it", () => {
    const { engine, times } = listened(V1_ENGINE, 6400);
    for (const tag of [1, 2]) engine.submit(0, requestOf(3100, 300, 0, tag, V1_ENGINE), tag);
    runUntil(engine, 1000);
    engine.submit(1000, requestOf(3000, 1, 0, 3, V1_ENGINE), 3);
    while (engine.preemptions === 0) engine.advance();
    expect(engine.waiting.map(({ tag }) => tag)).toEqual([2, 3]);
    runUntil(engine);
    expect(times.get(2)?.tokens).toBe(300);
    expect(times.get(3)?.firstAt).toBeGreaterThan(times.get(1)?.doneAt ?? Number.POSITIVE_INFINITY);
  });

  /** A request whose blocks have these ids, and nothing after them. */
  const ofBlocks = (first: number, count: number, outputTokens = 1): EngineRequest => ({
    blocks: Int32Array.from({ length: count }, (_, index) => first + index),
    promptTokens: count * 16,
    outputTokens,
    receivedTokens: 0,
  });

  test("evicts the oldest prompt first, and of it the last blocks first", () => {
    const { engine, times } = listened(V1_ENGINE, 160);
    // Ten blocks: four, then six fill it; two more push out the last two of the first four.
    for (const [tag, request] of [ofBlocks(1, 4), ofBlocks(11, 6), ofBlocks(21, 2)].entries()) {
      engine.submit(1000 * tag, request, tag);
      runUntil(engine);
    }
    expect([ofBlocks(1, 5), ofBlocks(11, 7), ofBlocks(21, 3)].map((one) => engine.hitTokens(one))).toEqual([
      32, 96, 32,
    ]);
    engine.submit(5000, ofBlocks(1, 5), 9);
    runUntil(engine);
    expect(times.get(9)?.cached).toBe(32);
  });

  test("keeps what a running request uses, however old it is, and takes it for the newest when the request is over", () => {
    const { engine, times } = listened(V1_ENGINE, 160);
    engine.submit(0, ofBlocks(1, 4, 30), 1);
    engine.advance();
    const at = (times.get(1)?.firstAt ?? 0) + 1;
    for (const [tag, first] of [11, 21, 31].entries()) engine.submit(at, ofBlocks(first, 4), 2 + tag);
    while (engine.waiting.length > 0 || engine.running.length > 1) engine.advance();
    expect([engine.running.map(({ tag }) => tag), engine.hitTokens(ofBlocks(1, 5))]).toEqual([[1], 64]);
    runUntil(engine);
    // Used last, it outlives what came after it.
    engine.submit(9000, ofBlocks(41, 6), 9);
    runUntil(engine);
    expect([1, 31, 41].map((first) => engine.hitTokens(ofBlocks(first, 7)))).toEqual([64, 0, 96]);
  });

  test("that freezes gives its next tokens that much later", () => {
    const { engine, times } = listened(LAB_ENGINE, 100_000);
    engine.submit(0, requestOf(600, 1, 0, 1, LAB_ENGINE), 1);
    engine.freeze(50, 6000);
    runUntil(engine);
    expect(times.get(1)?.firstAt).toBeCloseTo(6000 + idleTtftMs(LAB_ENGINE, 600, 0), 6);
    engine.freeze(10_000, 500);
    engine.submit(10_100, requestOf(600, 1, 0, 2, LAB_ENGINE), 2);
    runUntil(engine);
    expect(times.get(2)?.firstAt).toBeCloseTo(10_500 + idleTtftMs(LAB_ENGINE, 600, 0), 6);
  });

  test("that becomes slower takes longer from its next step on", () => {
    const { engine, times } = listened(LAB_ENGINE, 100_000);
    engine.submit(0, requestOf(2048 + 600, 1, 0, 1, LAB_ENGINE), 1);
    engine.slow(50, 3);
    runUntil(engine);
    const expected = idleTtftMs(LAB_ENGINE, 2048, 0) + 3 * idleTtftMs(LAB_ENGINE, 600, 0);
    expect(times.get(1)?.firstAt).toBeCloseTo(expected, 6);
  });

  test("that restarts has lost its requests and its cache", () => {
    const { engine, times } = listened(V1_ENGINE, 100_000);
    engine.submit(0, requestOf(4000, 50, 60, 1, V1_ENGINE), 1);
    engine.advance();
    expect(engine.restart().map(({ tag }) => tag)).toEqual([1]);
    expect([engine.kvUsed, engine.cachedTokens, engine.nextAt]).toEqual([0, 0, Number.POSITIVE_INFINITY]);
    engine.submit(1000, requestOf(4000, 1, 60, 2, V1_ENGINE), 2);
    runUntil(engine);
    expect(times.get(2)?.cached).toBe(0);
  });

  test("that gets the KV cache from another one gives its first token after one step of decoding", () => {
    const { engine, times } = listened(V1_ENGINE, 100_000);
    engine.submit(0, { ...requestOf(4000, 1, 0, 1, V1_ENGINE), receivedTokens: 3999 }, 1);
    runUntil(engine);
    expect(times.get(1)?.firstAt).toBeCloseTo(idleTtftMs(V1_ENGINE, 4000, 3999), 6);
  });
});
