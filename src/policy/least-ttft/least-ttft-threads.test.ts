import { describe, expect, test } from "bun:test";
import { PolicyFleet, streamOf, text } from "../../../test/support/policy-fleet.ts";
import type { Policy, RequestFeatures } from "../policy.ts";
import { leastTtft } from "./least-ttft.ts";

interface Setup {
  readonly fleet: PolicyFleet;
  readonly threads: readonly [Policy, Policy];
}

/** Two threads of a gateway: one ledger, one memory. Their clocks have different starts. */
function setUp(workers: number): Setup {
  const fleet = new PolicyFleet({ workers });
  const one = fleet.create(leastTtft, { thread: 0, threads: 2, now: () => fleet.nowMs });
  const two = fleet.create(leastTtft, { thread: 1, threads: 2, now: () => fleet.nowMs - 900 });
  return { fleet, threads: [one, two] };
}

function costs(policy: Policy, fleet: PolicyFleet, request: RequestFeatures): readonly number[] {
  return policy.costs?.(fleet.candidates, request) ?? [];
}

const QUESTION = streamOf(text("question", 4000));

describe("threads on one memory", () => {
  test("know the same, whichever of them a request and its first token came by", () => {
    const { fleet, threads } = setUp(3);
    const [one, two] = threads;
    for (let number = 0; number < 60; number += 1) {
      const policy = threads[number % 2] ?? one;
      const whole = number % 5 === 0;
      const sent = fleet.send(policy, {
        ...streamOf(text(`prompt ${number}`, 400 * (1 + (number % 13)))),
        isStream: !whole,
      });
      fleet.nowMs += 20 + sent.slot * 60;
      // Whoever looks first takes the last measurements into account.
      costs(one, fleet, QUESTION);
      const [seen, other] = [costs(one, fleet, QUESTION), costs(two, fleet, QUESTION)];
      for (const [index, cost] of seen.entries()) expect((other[index] ?? 0) / cost).toBeCloseTo(1, 3);
      if (!whole) sent.firstToken();
      if (number % 3 === 0) sent.end("answered", { promptTokens: 1000, cachedTokens: 0 });
    }
  });

  test("what a thread explains is what it chooses by, whatever the other sends in between, and the next choice knows of that", () => {
    const { fleet, threads } = setUp(2);
    const [one, two] = threads;
    const explained = one.explain?.(fleet.candidates, QUESTION) ?? [];
    const cheapest = explained.toSorted((a, b) => a.cost - b.cost)[0];
    // The other thread gives the very worker that is the cheapest much to do.
    const other = fleet.send(two, streamOf(text("other", 400_000)));
    const third = fleet.send(two, streamOf(text("third", 400_000)));
    expect(new Set([other.slot, third.slot]).size).toBe(2);
    const picked = one.pick(fleet.candidates, QUESTION);
    if (typeof picked === "number") throw new Error("the policy expects nothing");
    expect([picked.index, picked.predictedTtftMs]).toEqual([cheapest?.index ?? -1, cheapest?.predictedTtftMs]);
    const [next] = one.explain?.(fleet.candidates, streamOf(text("next", 4000))) ?? [];
    expect(next?.terms["waiting"]).toBeGreaterThan(10);
  });

  test("a request that waits on one thread is waiting for the other, and its stall too", () => {
    const { fleet, threads } = setUp(2);
    const [one, two] = threads;
    // The clocks of both threads are one from here on.
    costs(two, fleet, QUESTION);
    const sent = fleet.send(one, streamOf(text("one", 4000)));
    expect(fleet.send(two, streamOf(text("two", 4000))).slot).not.toBe(sent.slot);
    fleet.nowMs += 30_000;
    expect(Math.min(...costs(two, fleet, QUESTION))).toBeGreaterThan(30);
  });

  test("a prefix that one thread has sent is where the other sends its siblings", () => {
    const { fleet, threads } = setUp(4);
    const prefix = text("prefix", 8000);
    const { slot } = fleet.send(threads[0], streamOf(prefix)).firstToken().end();
    expect(fleet.send(threads[1], streamOf(prefix, text("more", 400))).slot).toBe(slot);
  });

  test("equals take turns over both", () => {
    const { fleet, threads } = setUp(4);
    const slots = Array.from({ length: 8 }, (_, number) => {
      const policy = threads[number % 2] ?? threads[0];
      return fleet
        .send(policy, streamOf(text(`prompt ${number}`, 4000)))
        .firstToken()
        .end().slot;
    });
    expect(new Set(slots.slice(0, 4)).size).toBe(4);
    expect(slots.slice(4)).toEqual(slots.slice(0, 4));
  });

  test("a thread that died leaves no request that waits for ever", () => {
    const { fleet, threads } = setUp(1);
    const sent = fleet.send(threads[1], QUESTION);
    fleet.nowMs += 5000;
    // The ledger gives back what the thread held; the next thread of its number finds nothing of it.
    sent.vanish();
    const anew = fleet.create(leastTtft, { thread: 1, threads: 2, now: () => fleet.nowMs });
    for (const policy of [threads[0], anew]) {
      expect(policy.explain?.(fleet.candidates, QUESTION)[0]?.terms["waiting"]).toBe(0);
    }
  });

  test("a worker that each of them forgets is forgotten, and requests from before say nothing of the next one", () => {
    const { fleet, threads } = setUp(1);
    const prompts = Array.from({ length: 20 }, (_, number) => streamOf(text(`prompt ${number}`, 4000)));
    for (const prompt of prompts) {
      const sent = fleet.send(threads[0], prompt);
      fleet.nowMs += 2000;
      sent.firstToken().end();
    }
    const before = fleet.send(threads[0], QUESTION);
    const slow = threads[1].explain?.(fleet.candidates, prompts[0] ?? QUESTION)[0];
    expect(slow?.cachedTokens).toBeGreaterThan(900);
    for (const policy of threads) policy.forget?.("w0", 0);
    fleet.nowMs += 60_000;
    before.firstToken().end("answered", { promptTokens: 9000, cachedTokens: 0 });
    for (const policy of threads) {
      const [anew] = policy.explain?.(fleet.candidates, prompts[0] ?? QUESTION) ?? [];
      expect([anew?.cachedTokens, anew?.terms["waiting"]]).toEqual([0, 0]);
    }
  });
});

describe("a fleet of hundreds", () => {
  const MANY = 300;

  test("compares those that have the prompt and some others, and explains just these", () => {
    const fleet = new PolicyFleet({ workers: MANY });
    const policy = fleet.create(leastTtft);
    const document = streamOf(text("document", 8000));
    const { slot } = fleet.send(policy, document).firstToken().end();
    const explained = policy.explain?.(fleet.candidates, document) ?? [];
    expect(explained.length).toBeGreaterThan(8);
    expect(explained.length).toBeLessThanOrEqual(16);
    expect(new Set(explained.map(({ index }) => index)).size).toBe(explained.length);
    const best = explained.toSorted((one, other) => one.cost - other.cost)[0];
    expect([best?.index, fleet.send(policy, document).slot]).toEqual([slot, slot]);
    expect(costs(policy, fleet, document).filter((cost) => !Number.isNaN(cost)).length).toBeLessThanOrEqual(16);
  });

  test("chooses among the workers that were explained", () => {
    const fleet = new PolicyFleet({ workers: MANY });
    const policy = fleet.create(leastTtft);
    for (let number = 0; number < 50; number += 1) {
      const request = streamOf(text(`prompt ${number % 20}`, 4000));
      const explained = policy.explain?.(fleet.candidates, request) ?? [];
      const sent = fleet.send(policy, request);
      expect(explained.map(({ index }) => index)).toContain(sent.slot);
    }
  });

  test("spreads what shares nothing, and never makes a queue while many are idle", () => {
    const fleet = new PolicyFleet({ workers: MANY });
    const policy = fleet.create(leastTtft);
    for (let number = 0; number < 150; number += 1) fleet.send(policy, streamOf(text(`prompt ${number}`, 4000)));
    expect(Math.max(...fleet.candidates.map(({ inFlight }) => inFlight))).toBe(1);
  });

  test("takes only candidates, though the index names others too", () => {
    const fleet = new PolicyFleet({ workers: MANY });
    const policy = fleet.create(leastTtft);
    const document = streamOf(text("document", 8000));
    const { slot } = fleet.send(policy, document).firstToken().end();
    const left = fleet.candidates.filter((candidate) => candidate.slot !== slot);
    expect(fleet.send(policy, document, left).slot).not.toBe(slot);
  });
});
