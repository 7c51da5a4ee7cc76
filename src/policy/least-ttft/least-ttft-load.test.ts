import { describe, expect, test } from "bun:test";
import { requestWith } from "../../../test/support/candidates.ts";
import { PolicyFleet, streamOf, text } from "../../../test/support/policy-fleet.ts";
import type { Explanation, Policy, RequestFeatures } from "../policy.ts";
import { leastTtft } from "./least-ttft.ts";

/** What the policy expects of each worker, by its index. */
function expected(policy: Policy, fleet: PolicyFleet, request: RequestFeatures): readonly Explanation[] {
  const all = policy.explain?.(fleet.candidates, request) ?? [];
  return all.toSorted((one, other) => one.index - other.index);
}

const QUESTION = streamOf(text("question", 4000));

describe("decoding", () => {
  test("a worker with many long sequences is dearer, though nothing pends there", () => {
    const fleet = new PolicyFleet({ workers: 2 });
    const policy = fleet.create(leastTtft);
    const slots = Array.from({ length: 30 }, (_, number) => {
      const sent = fleet.send(policy, streamOf(text(`${number}`, 40_000)));
      fleet.nowMs += 2000;
      return sent.firstToken().slot;
    });
    // Both get half: the policy keeps their batches even.
    expect(slots.filter((slot) => slot === 0).length).toBe(15);
  });

  test("a prefill is dearer where it holds up decodes", () => {
    const fleet = new PolicyFleet({ workers: 2 });
    const policy = fleet.create(leastTtft);
    const [first] = [fleet.send(policy, streamOf(text("one", 400)))];
    first?.firstToken();
    const [one, other] = expected(policy, fleet, QUESTION);
    const heldUp = [one, other].map((each) => each?.terms["held_up_decodes"] ?? 0);
    expect(heldUp[first?.slot ?? 0]).toBeGreaterThan(0);
    expect(heldUp[1 - (first?.slot ?? 0)]).toBe(0);
  });
});

describe("the KV cache", () => {
  test("a worker whose cache is nearly full of prompts in flight gets no more", () => {
    const fleet = new PolicyFleet({ workers: 2, kvCapacityTokens: (worker) => (worker === 0 ? 4000 : 400_000) });
    const policy = fleet.create(leastTtft);
    const slots = Array.from({ length: 12 }, (_, number) => {
      const sent = fleet.send(policy, streamOf(text(`prompt ${number}`, 6000)));
      fleet.nowMs += 500;
      return sent.firstToken().slot;
    });
    expect(slots.filter((slot) => slot === 0).length).toBeLessThanOrEqual(2);
  });

  test("new blocks cost as much as the cache is full, and nothing where its size is unknown", () => {
    const termsWith = (capacity: number | undefined): readonly unknown[] => {
      const fleet = new PolicyFleet({ workers: 1, kvCapacityTokens: () => capacity });
      const policy = fleet.create(leastTtft);
      for (let number = 0; number < 40; number += 1) {
        fleet.nowMs += 1000;
        fleet
          .send(policy, streamOf(text(`prompt ${number}`, 4000)))
          .firstToken()
          .end();
      }
      const terms = expected(policy, fleet, QUESTION)[0]?.terms ?? {};
      return [(terms["eviction"] ?? 0) / (terms["prefill"] ?? 1), terms["kv_wall"]];
    };
    expect(termsWith(20_000)).toEqual([expect.closeTo(1, 6), 0]);
    const [half] = termsWith(80_000);
    expect(half).toBeCloseTo(0.5, 1);
    expect(termsWith(undefined)).toEqual([0, 0]);
  });

  test("a worker forgets the prompts that its cache has no room for", () => {
    const fleet = new PolicyFleet({ workers: 1, kvCapacityTokens: () => 20_000 });
    const policy = fleet.create(leastTtft);
    const old = streamOf(text("old", 8000));
    fleet.send(policy, old).firstToken().end();
    expect(expected(policy, fleet, old)[0]?.cachedTokens).toBeGreaterThan(1800);
    for (let number = 0; number < 40; number += 1) {
      fleet
        .send(policy, streamOf(text(`prompt ${number}`, 4000)))
        .firstToken()
        .end();
    }
    expect(expected(policy, fleet, old)[0]?.cachedTokens).toBe(0);
  });
});

describe("the length of a prompt", () => {
  test("is exact where it is token ids, and learned where it is text", () => {
    const fleet = new PolicyFleet({ workers: 1 });
    const policy = fleet.create(leastTtft);
    for (let answer = 0; answer < 300; answer += 1) {
      fleet.send(policy, QUESTION).firstToken().end("answered", { promptTokens: 2000 });
    }
    expect(fleet.send(policy, QUESTION).picked.contextTokens).toBeCloseTo(2000, -2);
    const ids = requestWith({
      isStream: true,
      isTokenized: true,
      promptTokens: 1000,
      promptBytes: () => Buffer.alloc(4000, 7),
    });
    expect(fleet.send(policy, ids).picked.contextTokens).toBe(1000);
    for (let answer = 0; answer < 50; answer += 1)
      fleet.send(policy, ids).firstToken().end("answered", { promptTokens: 9 });
    expect(fleet.send(policy, ids).picked.contextTokens).toBe(1000);
  });

  test("is the request's own estimate where it has no prompt that can be compared", () => {
    const fleet = new PolicyFleet({ workers: 1 });
    const policy = fleet.create(leastTtft);
    const { picked } = fleet.send(policy, requestWith({ isStream: true, promptTokens: 77 }));
    expect([picked.chargeTokens, picked.contextTokens]).toEqual([77, 77]);
  });

  test("of which at least one token is computed anew, also where all of it is cached", () => {
    const fleet = new PolicyFleet({ workers: 1 });
    const policy = fleet.create(leastTtft);
    const prompt = streamOf(text("the same", 4096));
    fleet.send(policy, prompt).firstToken().end();
    expect(fleet.send(policy, prompt).picked.chargeTokens).toBe(1);
  });
});

describe("requests without streams", () => {
  const whole = (seed: string, bytes = 8000): RequestFeatures => ({ ...streamOf(text(seed, bytes)), isStream: false });

  test("pend for as long as the rates say, one after the other, and decode from then on", () => {
    const fleet = new PolicyFleet({ workers: 1 });
    const policy = fleet.create(leastTtft);
    const waiting = (): number => expected(policy, fleet, QUESTION)[0]?.terms["waiting"] ?? -1;
    // 2,000 tokens each: 250 ms and 10 ms of overhead.
    const first = fleet.send(policy, whole("one"));
    expect(waiting()).toBeCloseTo(2 * 0.26, 1);
    const second = fleet.send(policy, whole("two"));
    expect(waiting()).toBeCloseTo(0.52 + 0.5, 1);
    fleet.nowMs += 270;
    expect(waiting()).toBeCloseTo(2 * 0.25, 1);
    fleet.nowMs += 270;
    expect(waiting()).toBe(0);
    expect(expected(policy, fleet, QUESTION)[0]?.terms["held_up_decodes"]).toBeCloseTo(0.05 * 0.125 * 2, 3);
    for (const sent of [first, second]) sent.end();
    expect(expected(policy, fleet, QUESTION)[0]?.terms["held_up_decodes"]).toBe(0);
  });

  test("do not look stalled while they decode for a long time", () => {
    const fleet = new PolicyFleet({ workers: 1 });
    const policy = fleet.create(leastTtft);
    fleet.send(policy, whole("one"));
    fleet.nowMs += 60_000;
    expect(expected(policy, fleet, QUESTION)[0]?.terms["waiting"]).toBe(0);
  });

  test("have their prompt in the cache once they are prefilled, before they end", () => {
    const fleet = new PolicyFleet({ workers: 1 });
    const policy = fleet.create(leastTtft);
    const request = whole("one");
    fleet.send(policy, request);
    expect(expected(policy, fleet, request)[0]?.inFlightTokens).toBeGreaterThan(1000);
    fleet.nowMs += 1000;
    fleet.send(policy, whole("two", 200));
    expect(expected(policy, fleet, request)[0]?.inFlightTokens).toBe(0);
  });

  test("go round a worker that takes three times as long for its answers", () => {
    const fleet = new PolicyFleet({ workers: 2 });
    const policy = fleet.create(leastTtft);
    let slow = 0;
    for (let number = 0; number < 400; number += 1) {
      const sent = fleet.send(policy, whole(`prompt ${number}`, 4000));
      fleet.nowMs += sent.slot === 0 ? 1875 : 625;
      sent.end("answered", { promptTokens: 1000, completionTokens: 50 });
      if (number >= 200 && sent.slot === 0) slow += 1;
    }
    expect(slow).toBeLessThan(20);
  });

  test("between streams do not make the worker look slower than it is", () => {
    const fleet = new PolicyFleet({ workers: 1 });
    const policy = fleet.create(leastTtft);
    for (let round = 0; round < 100; round += 1) {
      const bytes = round % 2 === 0 ? 4000 : 16_000;
      const before = fleet.send(policy, whole(`whole ${round}`, 8000));
      const stream = fleet.send(policy, streamOf(text(`stream ${round}`, bytes)));
      // 100 µs a token, for both.
      fleet.nowMs += 200 + bytes / 40;
      stream.firstToken();
      fleet.nowMs += 3000;
      for (const sent of [before, stream]) sent.end();
    }
    const [weighed] = expected(policy, fleet, QUESTION);
    expect((weighed?.terms["prefill"] ?? 0) / 0.1).toBeGreaterThan(0.8);
    expect((weighed?.terms["prefill"] ?? 0) / 0.1).toBeLessThan(1.2);
  });
});

describe("roles", () => {
  test("a prefill worker's first token is its answer, though the client wants no stream", () => {
    const fleet = new PolicyFleet({ workers: 1, role: "prefill" });
    const policy = fleet.create(leastTtft);
    const sent = fleet.send(policy, { ...QUESTION, isStream: false });
    expect(expected(policy, fleet, QUESTION)[0]?.terms["waiting"]).toBeGreaterThan(0);
    fleet.nowMs += 30_000;
    expect(expected(policy, fleet, QUESTION)[0]?.terms["waiting"]).toBeGreaterThan(20);
    sent.firstToken();
    expect(expected(policy, fleet, QUESTION)[0]?.terms["waiting"]).toBe(0);
  });

  test("a decode worker is charged no prefill; it costs what decoding and its KV cache cost", () => {
    const fleet = new PolicyFleet({ workers: 2, role: "decode", kvCapacityTokens: () => 10_000 });
    const policy = fleet.create(leastTtft);
    const sent = fleet.send(policy, QUESTION);
    expect([sent.picked.chargeTokens, sent.picked.contextTokens]).toEqual([0, 1000]);
    const [one, other] = expected(policy, fleet, streamOf(text("new", 40_000)));
    for (const each of [one, other])
      expect(each?.terms).toMatchObject({ waiting: 0, prefill: 0, overhead: 0, eviction: 0 });
    expect(Math.max(one?.terms["decode"] ?? 0, other?.terms["decode"] ?? 0)).toBeGreaterThan(0);
    expect(one?.terms["kv_wall"]).toBeGreaterThan(0.45);
    const slots = Array.from({ length: 9 }, (_, number) => fleet.send(policy, streamOf(text(`${number}`, 4000))).slot);
    expect(slots.filter((slot) => slot === sent.slot).length).toBe(4);
  });
});

test("a worker that fails its requests at once does not look free", () => {
  const fleet = new PolicyFleet({ workers: 2 });
  const policy = fleet.create(leastTtft);
  const counts = [0, 0];
  for (let number = 0; number < 200; number += 1) {
    const sent = fleet.send(policy, streamOf(text(`prompt ${number}`, 4000)));
    counts[sent.slot] = (counts[sent.slot] ?? 0) + 1;
    // The gateway keeps what failed in the load.
    if (sent.slot === 0) sent.fail();
    else sent.firstToken().end();
    fleet.nowMs += 200;
  }
  expect(counts[0]).toBeLessThan(20);
});

test("where every worker has more than it can do, each gets its share", () => {
  const fleet = new PolicyFleet({ workers: 4, kvCapacityTokens: () => 10_000 });
  const policy = fleet.create(leastTtft);
  const counts = [0, 0, 0, 0];
  for (let number = 0; number < 400; number += 1) {
    const { slot } = fleet.send(policy, streamOf(text(`prompt ${number}`, 4000)));
    counts[slot] = (counts[slot] ?? 0) + 1;
  }
  expect(counts).toEqual([100, 100, 100, 100]);
});
