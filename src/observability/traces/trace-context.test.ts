import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { idInShare, isInShare, randomId, readTraceparent, writeTraceparent } from "./trace-context.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";

describe("a traceparent", () => {
  test("names the trace, the span and whether it is sampled", () => {
    expect(readTraceparent(`00-${TRACE}-${SPAN}-01`)).toEqual({ traceId: TRACE, spanId: SPAN, isSampled: true });
    expect(readTraceparent(` 00-${TRACE}-${SPAN}-00 `)?.isSampled).toBe(false);
    expect(readTraceparent(`00-${TRACE}-${SPAN}-03`)?.isSampled).toBe(true);
  });

  test("of a later version may have more fields", () => {
    expect(readTraceparent(`cc-${TRACE}-${SPAN}-01-more`)?.traceId).toBe(TRACE);
    expect(readTraceparent(`00-${TRACE}-${SPAN}-01-more`)).toBeUndefined();
  });

  test("that is not valid counts as none", () => {
    for (const text of [
      null,
      "",
      "00",
      `ff-${TRACE}-${SPAN}-01`,
      `00-${"0".repeat(32)}-${SPAN}-01`,
      `00-${TRACE}-${"0".repeat(16)}-01`,
      `00-${TRACE.toUpperCase()}-${SPAN}-01`,
      `00-${TRACE}-${SPAN}`,
      `00-${TRACE.slice(1)}-${SPAN}-01`,
    ]) {
      expect(readTraceparent(text)).toBeUndefined();
    }
    fc.assert(fc.property(fc.string(), (text) => readTraceparent(text) === undefined));
  });

  test("that is written is read as it was", () => {
    const ids = fc.tuple(fc.constant(16 as const).map(randomId), fc.constant(8 as const).map(randomId));
    fc.assert(
      fc.property(ids, ([traceId, spanId]) => {
        expect(readTraceparent(writeTraceparent(traceId, spanId))).toEqual({ traceId, spanId, isSampled: true });
      }),
    );
  });
});

describe("the share of traces that is sampled", () => {
  test("is all of them with 1, and none with 0", () => {
    for (let count = 0; count < 100; count += 1) {
      const id = randomId(16);
      expect([isInShare(id, 1), isInShare(id, 0)]).toEqual([true, false]);
    }
  });

  test("is decided by the id: what is in a share is in each larger one", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }), (a, b) => {
        const id = randomId(16);
        if (isInShare(id, Math.min(a, b))) expect(isInShare(id, Math.max(a, b))).toBe(true);
      }),
    );
  });

  test("is that share of the ids", () => {
    // Ids at even distances, so that chance plays no part.
    const ids = Array.from(
      { length: 1000 },
      (_, index) =>
        `${"a".repeat(18)}${Math.floor(((index + 0.5) / 1000) * 2 ** 48)
          .toString(16)
          .padStart(12, "0")}00`,
    );
    expect(ids.filter((id) => isInShare(id, 0.01))).toHaveLength(10);
    expect(ids.filter((id) => isInShare(id, 0.25))).toHaveLength(250);
  });

  test("is that share of the new traces, whose ids are in it for everybody", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1e-9, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        (ratio, drawn) => {
          const id = idInShare(ratio, () => drawn);
          expect(id !== undefined).toBe(drawn < ratio);
          if (id === undefined) return;
          expect(id).toMatch(/^[0-9a-f]{32}$/);
          expect(isInShare(id, ratio)).toBe(true);
        },
      ),
    );
  });

  test("has ids from all of it", () => {
    const draws = [0, 0, 0, 0.5, 0, 0.999_999_99];
    const lasts = [1, 2, 3].map(() => idInShare(0.001, () => draws.shift() ?? 0)?.slice(18, 26));
    expect(lasts).toEqual(["ffbe76c8", "ffdf3b64", "ffffffff"]);
  });
});
