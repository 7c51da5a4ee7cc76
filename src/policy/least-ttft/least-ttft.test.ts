import { describe, expect, test } from "bun:test";
import { PolicyFleet, type SentRequest, streamOf, text } from "../../../test/support/policy-fleet.ts";
import { requestWith } from "../../../test/support/candidates.ts";
import type { Policy, RequestFeatures } from "../policy.ts";
import { leastTtft } from "./least-ttft.ts";

interface Setup {
  readonly fleet: PolicyFleet;
  readonly policy: Policy;
}

function setUp(workers: number, kvCapacityTokens?: (worker: number) => number | undefined): Setup {
  const fleet = new PolicyFleet({ workers, ...(kvCapacityTokens ? { kvCapacityTokens } : {}) });
  return { fleet, policy: fleet.create(leastTtft) };
}

/** Sends a request, has it answered at once, and returns its worker. */
function answer({ fleet, policy }: Setup, request: RequestFeatures): number {
  return fleet.send(policy, request).firstToken().end().slot;
}

/** Prompts of 1,000 tokens that share nothing. */
function* distinct(): Generator<RequestFeatures, never> {
  for (let number = 0; ; number += 1) yield streamOf(text(`prompt ${number}`, 4000));
}

/** Sends prompts that share nothing until this many pend or decode at each worker. */
function fill({ fleet, policy }: Setup, count: number): SentRequest[] {
  const prompts = distinct();
  return Array.from({ length: count }, () => fleet.send(policy, prompts.next().value));
}

describe("on an idle fleet", () => {
  test("prompts that share nothing go to each worker in turn", () => {
    const setup = setUp(4);
    const prompts = distinct();
    const chosen = Array.from({ length: 8 }, () => answer(setup, prompts.next().value));
    expect(new Set(chosen.slice(0, 4)).size).toBe(4);
    expect(chosen.slice(4)).toEqual(chosen.slice(0, 4));
  });

  test("a conversation stays where its prefix is", () => {
    const setup = setUp(4);
    let prompt = text("system prompt", 4000);
    const first = answer(setup, streamOf(prompt));
    for (let turn = 0; turn < 6; turn += 1) {
      prompt += text(`turn ${turn}`, 800);
      expect(answer(setup, streamOf(prompt))).toBe(first);
    }
  });

  test("prompts that share nothing go to all workers alike, once it has shown that it is much faster than is taken for granted", () => {
    const setup = setUp(8);
    const { fleet, policy } = setup;
    const sent = Array<number>(8).fill(0);
    for (let number = 0; number < 400; number += 1) {
      const tokens = 100 + ((number * 137) % 900);
      const request = fleet.send(policy, streamOf(text(`prompt ${number}`, 4 * tokens)));
      // 100,000 tokens a second, in steps that begin each millisecond.
      fleet.nowMs += 1 + tokens / 100 + ((number * 31) % 10) / 10;
      request.firstToken();
      fleet.nowMs += 500;
      request.end();
      if (number >= 80) sent[request.slot] = (sent[request.slot] ?? 0) + 1;
    }
    expect(Math.max(...sent)).toBeLessThan(1.25 * (320 / 8));
    expect(Math.min(...sent)).toBeGreaterThan(0.75 * (320 / 8));
  });

  test("a worker that is clearly slower than the others gets less, although it is idle", () => {
    const setup = setUp(4);
    const { fleet, policy } = setup;
    const sent = Array<number>(4).fill(0);
    for (let number = 0; number < 100; number += 1) {
      const request = fleet.send(policy, streamOf(text(`prompt ${number}`, 4000)));
      fleet.nowMs += request.slot === 0 ? 400 : 130;
      request.firstToken().end();
      sent[request.slot] = (sent[request.slot] ?? 0) + 1;
    }
    expect(sent[0]).toBeLessThan(10);
  });

  test("the worker with the deeper match gets a prompt that costs the same anywhere", () => {
    const setup = setUp(3);
    // 128 bytes are 32 tokens, 4 ms: so many more than a tie that the match decides by its cost; then they are made equal.
    const short = text("short prompt", 200);
    const first = answer(setup, streamOf(short));
    for (let turn = 0; turn < 5; turn += 1) expect(answer(setup, streamOf(short))).toBe(first);
  });
});

describe("waiting", () => {
  test("sends what shares nothing where the least work pends", () => {
    const setup = setUp(2);
    const { fleet, policy } = setup;
    const long = fleet.send(policy, streamOf(text("a long prompt", 40_000)));
    const others = [0, 1, 2].map((number) => fleet.send(policy, streamOf(text(`other ${number}`, 4000))));
    for (const other of others) expect(other.slot).not.toBe(long.slot);
  });

  test("breaks affinity when the queue costs more than the prefix saves, and keeps it when not", () => {
    const setup = setUp(2);
    const { fleet, policy } = setup;
    const document = text("document", 8000);
    const owner = answer(setup, streamOf(document));
    // 2,000 tokens are 250 ms of prefill; a queue of 800 tokens costs 165 ms.
    const queue = fleet.send(policy, streamOf(document, text("question", 800)));
    expect(queue.slot).toBe(owner);
    expect(fleet.send(policy, streamOf(document, text("another", 400))).slot).toBe(owner);
    for (let number = 0; number < 4; number += 1) fleet.send(policy, streamOf(document, text(`more ${number}`, 4000)));
    expect(fleet.send(policy, streamOf(document, text("last", 400))).picked.reason).toBeDefined();
    const counts = fleet.candidates.map(({ inFlight }) => inFlight);
    expect(Math.min(...counts)).toBeGreaterThan(0);
  });

  test("counts a worker that is silent for longer than its oldest request explains as ever busier", () => {
    const setup = setUp(2);
    const { fleet, policy } = setup;
    const [stalled] = fill(setup, 1);
    fleet.nowMs += 20_000;
    // The other worker has ten times the work, and makes progress.
    const request = streamOf(text("big", 40_000));
    const busy = fleet.send(policy, request);
    expect(busy.slot).not.toBe(stalled?.slot);
    const [one, other] = policy.costs?.(fleet.candidates, streamOf(text("next", 400))) ?? [];
    const costs = [one ?? 0, other ?? 0];
    expect(costs[stalled?.slot ?? 0]).toBeGreaterThan(costs[busy.slot] ?? 0);
    expect(costs[stalled?.slot ?? 0]).toBeGreaterThan(20);
  });

  test("what waits is what was sent and has no first token: it leaves with that, or with the end", () => {
    const setup = setUp(1);
    const { fleet, policy } = setup;
    const expected = (): number => policy.explain?.(fleet.candidates, requestWith())[0]?.terms["waiting"] ?? -1;
    expect(expected()).toBe(0);
    const [one, two] = fill(setup, 2);
    // (10 ms + 2 * 125 ms) * 2
    expect(expected()).toBeCloseTo(0.52, 3);
    one?.firstToken();
    expect(expected()).toBeCloseTo(0.27, 3);
    two?.end("failed");
    expect(expected()).toBe(0);
    expect(fleet.ledger.totals()).toEqual({ inFlight: 1, pendingPromptTokens: 0, decoding: 1 });
  });
});

describe("prefixes in flight", () => {
  test("draw siblings to their worker while it is soon free", () => {
    const setup = setUp(4);
    const { fleet, policy } = setup;
    const prefix = text("a new prefix", 1200);
    const first = fleet.send(policy, streamOf(prefix, text("one", 200)));
    fleet.nowMs += 1;
    // 300 tokens are in flight there: it would wait 47 ms, and prefill the prefix for 37 ms elsewhere.
    const [at] =
      policy
        .explain?.(fleet.candidates, streamOf(prefix, text("two", 200)))
        .filter(({ index }) => index === first.slot) ?? [];
    expect(at?.inFlightTokens).toBeGreaterThan(250);
    expect(at?.cachedTokens).toBeCloseTo(at?.inFlightTokens ?? 0, 6);
  });

  test("count for half where the wait is long, until usage tells what they are worth", () => {
    const setup = setUp(1);
    const { fleet, policy } = setup;
    const prefix = text("a long new prefix", 16_000);
    const cachedOf = (): number =>
      policy.explain?.(fleet.candidates, streamOf(prefix, text("next", 400)))[0]?.cachedTokens ?? 0;
    const first = fleet.send(policy, streamOf(prefix, text("one", 400)));
    expect(cachedOf()).toBeCloseTo(2000, -2);
    const siblings = [2, 3, 4].map((number) => fleet.send(policy, streamOf(prefix, text(`${number}`, 400))));
    for (const sent of [first, ...siblings]) sent.firstToken();
    for (const sent of siblings) sent.end("answered", { promptTokens: 4100, cachedTokens: 4000 });
    const later = text("another long prefix", 16_000);
    fleet.send(policy, streamOf(later));
    const [weighed] = policy.explain?.(fleet.candidates, streamOf(later, text("next", 400))) ?? [];
    expect((weighed?.cachedTokens ?? 0) / (weighed?.inFlightTokens ?? 1)).toBeGreaterThan(0.7);
  });

  test("count for what the time between first tokens tells, where usage does not", () => {
    for (const shares of [true, false]) {
      const setup = setUp(1);
      const { fleet, policy } = setup;
      for (let number = 0; number < 20; number += 1) {
        const request = fleet.send(policy, streamOf(text(`prompt ${number}`, 8000)));
        // 10 ms, and 4,000 tokens a second.
        fleet.nowMs += 510;
        request.firstToken().end();
      }
      const prefix = text("a long new prefix", 16_000);
      const ends = ["one", "two", "three", "four", "five", "six", "seven"];
      const sent = ends.map((end) => fleet.send(policy, streamOf(prefix, text(end, 400))));
      for (const [number, request] of sent.entries()) {
        fleet.nowMs += number > 0 && shares ? 1 : 1035;
        request.firstToken();
      }
      for (const request of sent) request.end();
      const later = text("another long prefix", 16_000);
      fleet.send(policy, streamOf(later));
      const [weighed] = policy.explain?.(fleet.candidates, streamOf(later, text("next", 400))) ?? [];
      const worth = (weighed?.cachedTokens ?? 0) / (weighed?.inFlightTokens ?? 1);
      expect(shares ? worth : 1 - worth).toBeGreaterThan(0.8);
    }
  });

  test("are gone with a request that failed, or was not sent", () => {
    for (const outcome of ["failed", "abandoned", "unsent"] as const) {
      const setup = setUp(1);
      const { fleet, policy } = setup;
      const prompt = streamOf(text("prompt", 4000));
      fleet.send(policy, prompt).end(outcome);
      expect(policy.explain?.(fleet.candidates, prompt)[0]?.cachedTokens).toBe(0);
    }
  });
});

describe("what is explained", () => {
  /** Each worker in turn is the one whose first token has not been learned from yet. */
  test.each([0, 1, 2, 3])("is what is chosen by, also where worker %d has just shown its speed", (slot) => {
    const setup = setUp(4);
    const { fleet, policy } = setup;
    const prompts = distinct();
    let sent = fleet.send(policy, prompts.next().value);
    while (sent.slot !== slot) sent = fleet.send(policy, prompts.next().value);
    fleet.nowMs += 900;
    sent.firstToken();
    fleet.nowMs += 50;
    const request = prompts.next().value;
    const explained = policy.explain?.(fleet.candidates, request) ?? [];
    expect(policy.explain?.(fleet.candidates, request)).toEqual([...explained]);
    const picked = policy.pick(fleet.candidates, request);
    if (typeof picked === "number") throw new Error("the policy expects nothing");
    const chosen = explained.find(({ index }) => index === picked.index);
    expect(picked.predictedTtftMs).toBe(chosen?.predictedTtftMs ?? Number.NaN);
    expect(picked.predictedCachedTokens).toBe(chosen?.cachedTokens ?? Number.NaN);
    // Those that nothing was learned of are the fleet's average: all alike.
    const overheads = explained.filter(({ index }) => index !== slot).map(({ terms }) => terms["prefill"]);
    expect(new Set(overheads).size).toBe(1);
  });

  test("is what is chosen by, although time goes on meanwhile and the queues with it", () => {
    const setup = setUp(2);
    const { fleet, policy } = setup;
    fill(setup, 6);
    fleet.nowMs += 20;
    const [request, next] = [streamOf(text("a", 4000)), streamOf(text("b", 4000))];
    const explained = policy.explain?.(fleet.candidates, request) ?? [];
    expect(explained.every(({ terms }) => (terms["waiting"] ?? 0) > 0)).toBe(true);
    fleet.nowMs += 5;
    const picked = policy.pick(fleet.candidates, request);
    if (typeof picked === "number") throw new Error("the policy expects nothing");
    expect(picked.predictedTtftMs).toBe(explained.find(({ index }) => index === picked.index)?.predictedTtftMs ?? 0);
    // The next one is weighed as of its own time.
    const before = policy.costs?.(fleet.candidates, next) ?? [];
    fleet.nowMs += 5;
    expect(policy.costs?.(fleet.candidates, next)[0]).toBeLessThan(before[0] ?? 0);
  });
});
