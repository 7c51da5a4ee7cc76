import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { PolicyFleet, streamOf, text } from "../../../test/support/policy-fleet.ts";
import { Arrivals } from "./arrivals.ts";
import { leastTtft } from "./least-ttft.ts";
import { stateBytes } from "./shared-layout.ts";
import { COST, PREFILL_S, ROW, SLOT, Weighed } from "./weighed.ts";

const CELLS = stateBytes(1) / 8;

/** Two workers, of which the second one costs `lossS` more, as they are weighed at a time, s, for a request that the first one prefills for so long. */
function weighedAt(now: number, lossS: number, prefillS = 0): Weighed {
  const weighed = new Weighed();
  weighed.now = now;
  weighed.count = 2;
  weighed.cells[PREFILL_S] = prefillS;
  weighed.cells[ROW + SLOT] = 1;
  weighed.cells[ROW + COST] = lossS;
  return weighed;
}

/** Requests that come to the first of two workers, so many a second from 1 s on for 100 s. */
function afterArrivals({ perSecond, lossS }: { perSecond: number; lossS: number }): Arrivals {
  const arrivals = new Arrivals(new Float64Array(CELLS));
  for (let at = 0; at < 100 * perSecond; at += 1) arrivals.note(weighedAt(1 + at / perSecond, lossS), 0);
  arrivals.begin(101);
  return arrivals;
}

describe("a prefill", () => {
  test("costs nobody anything where nothing came before", () => {
    const arrivals = new Arrivals(new Float64Array(CELLS));
    arrivals.begin(5);
    expect(arrivals.costS(0, 1, 1)).toBe(0);
    arrivals.note(weighedAt(5, 1), 0);
    expect(arrivals.costS(1, 1, 1)).toBe(0);
  });

  test("costs each request that comes while it waits all of it, and each that comes meanwhile what is left", () => {
    const arrivals = afterArrivals({ perSecond: 2, lossS: 60 });
    // Of the two that come in each second: those of the wait lose 0.5 s, and those of the prefill half of it.
    expect(arrivals.costS(0, 0, 0.5) / (2 * 0.5 * 0.25)).toBeWithin(0.9, 1.1);
    expect(arrivals.costS(0, 0.2, 0.5) / (2 * 0.2 * 0.5 + 2 * 0.5 * 0.25)).toBeWithin(0.9, 1.1);
  });

  test("costs nobody more than the next best worker would", () => {
    const arrivals = afterArrivals({ perSecond: 2, lossS: 0.1 });
    // Those who come until the last tenth of a second go elsewhere.
    expect(arrivals.costS(0, 0, 10) / (2 * (9.9 * 0.1 + 0.1 * 0.05))).toBeWithin(0.9, 1.1);
    expect(afterArrivals({ perSecond: 2, lossS: 0 }).costS(0, 5, 10)).toBe(0);
  });

  test("costs no more requests than the worker could prefill in that time, however many came at once", () => {
    const arrivals = new Arrivals(new Float64Array(CELLS));
    for (let request = 0; request < 100_000; request += 1) arrivals.note(weighedAt(1, 60, 0.1), 0);
    arrivals.begin(1);
    // Ten a second, each of which loses half of it.
    expect(arrivals.costS(0, 0, 0.5)).toBeCloseTo(10 * 0.5 * 0.25, 9);
    expect(arrivals.costS(0, 3, 0.5)).toBeCloseTo(10 * (3 * 0.5 + 0.5 * 0.25), 9);
  });

  test("costs less the longer nothing has come", () => {
    const arrivals = afterArrivals({ perSecond: 2, lossS: 1 });
    const costs = [101, 111, 121, 161, 401].map((now) => {
      arrivals.begin(now);
      return arrivals.costS(0, 0, 0.5);
    });
    expect(costs).toEqual(costs.toSorted((one, other) => other - one));
    expect((costs[2] ?? 0) / (costs[0] ?? 0)).toBeWithin(0.3, 0.5);
    expect((costs[4] ?? 0) / (costs[0] ?? 0)).toBeLessThan(0.01);
  });

  test("costs no less for a longer wait or a longer prefill, and never less than nothing, whatever the clocks say", () => {
    const time = fc.double({ min: 0, max: 1000, noNaN: true });
    const short = fc.double({ min: 0, max: 20, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(time, short), { maxLength: 20 }),
        time,
        short,
        short,
        short,
        (came, now, waitingS, prefillS, more) => {
          const arrivals = new Arrivals(new Float64Array(CELLS));
          for (const [at, lossS] of came) arrivals.note(weighedAt(at, lossS), 0);
          arrivals.begin(now);
          const cost = arrivals.costS(0, waitingS, prefillS);
          expect(cost).toBeGreaterThanOrEqual(0);
          expect(cost).toBeLessThan(Number.POSITIVE_INFINITY);
          expect(arrivals.costS(0, waitingS + more, prefillS)).toBeGreaterThanOrEqual(cost * (1 - 1e-9));
          expect(arrivals.costS(0, waitingS, prefillS + more)).toBeGreaterThanOrEqual(cost * (1 - 1e-9));
        },
      ),
    );
  });
});

test("the first request of a new gateway is no rate of many a second", () => {
  const arrivals = new Arrivals(new Float64Array(CELLS));
  arrivals.note(weighedAt(5, 60), 0);
  arrivals.begin(5);
  expect(arrivals.costS(0, 0, 1)).toBeLessThan(0.3);
});

test("a request without another choice says nothing of what others lose", () => {
  const arrivals = new Arrivals(new Float64Array(CELLS));
  const alone = weighedAt(5, 60);
  alone.count = 1;
  arrivals.note(alone, 0);
  arrivals.begin(6);
  expect(arrivals.costS(0, 1, 1)).toBe(0);
});

test("what other gateways send counts as well, at the loss of the own requests", () => {
  const [alone, heard, stranger] = [0, 1, 2].map(() => new Arrivals(new Float64Array(CELLS)));
  for (let at = 1; at < 60; at += 1) {
    alone?.note(weighedAt(at, 1), 0);
    heard?.note(weighedAt(at, 1), 0);
    heard?.heard(0, at + 0.5);
    stranger?.heard(0, at);
  }
  const costs = [alone, heard, stranger].map((one) => {
    one?.begin(60);
    return one?.costS(0, 0, 0.5) ?? Number.NaN;
  });
  expect((costs[1] ?? 0) / (costs[0] ?? 0)).toBeWithin(1.9, 2.1);
  expect(costs[2]).toBe(0);
});

test("a long prompt that nobody knows goes where few come, not to the worker that holds what all others ask for", () => {
  const fleet = new PolicyFleet({ workers: 2 });
  const policy = fleet.create(leastTtft);
  const document = text("what all ask for", 40_000);
  const hot = Array.from({ length: 40 }, (_, question) => {
    const sent = fleet.send(policy, streamOf(document + text(`${question}`, 200)));
    fleet.nowMs += question === 0 ? 2000 : 40;
    const { slot } = sent.firstToken();
    sent.end();
    fleet.nowMs += 960;
    return slot;
  });
  expect(new Set(hot).size).toBe(1);
  for (const other of ["one", "another", "a third"]) {
    const sent = fleet.send(policy, streamOf(text(other, 40_000)));
    fleet.nowMs += 2000;
    expect(sent.firstToken().slot).toBe(1 - (hot[0] ?? 0));
    sent.end();
    fleet.nowMs += 8000;
  }
  const arrivalsAt = (slot: number): number | undefined =>
    policy.explain?.(fleet.candidates, streamOf(text("a fourth", 40_000))).find(({ index }) => index === slot)?.terms[
      "arrivals"
    ];
  const [holder = 0] = hot;
  expect(arrivalsAt(holder)).toBeGreaterThan(3 * (arrivalsAt(1 - holder) ?? Number.NaN));
  policy.forget?.("", holder);
  expect(arrivalsAt(holder)).toBe(0);
});
