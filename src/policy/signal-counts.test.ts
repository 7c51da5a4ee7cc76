import { describe, expect, test } from "bun:test";
import { idleCandidate, requestWith } from "../../test/support/candidates.ts";
import { SignalCounts, type SignalNews, type UsedSignals } from "./signal-counts.ts";

function setUp(used: UsedSignals = { routing_key: "takes the least loaded worker" }, threads = 2) {
  const news: SignalNews[] = [];
  const clock = { ms: 1000 };
  let memory: SharedArrayBuffer | undefined;
  const make = (): SignalCounts =>
    new SignalCounts(used, {
      memory: (bytes) => (memory ??= new SharedArrayBuffer(bytes)),
      now: () => clock.ms,
      threads,
      tell: (one) => news.push(one),
    });
  const counts = make();
  return { counts, make, news, clock };
}

const keyed = requestWith({ routingKey: () => "a" });
const keyless = requestWith();

function send(counts: SignalCounts, times: number, request = keyless): void {
  for (let count = 0; count < times; count += 1) counts.onPick(request, idleCandidate(0));
}

describe("a signal", () => {
  test("that most requests lack is told of once, and again when it is there", () => {
    const { counts, news, clock } = setUp();
    send(counts, 200);
    expect(news).toEqual([{ signal: "routing_key", isMissing: true, share: 1 }]);
    clock.ms += 31_000;
    send(counts, 32);
    expect(news).toHaveLength(1);
    clock.ms += 31_000;
    send(counts, 200, keyed);
    clock.ms += 31_000;
    send(counts, 32, keyed);
    expect(news.map(({ isMissing }) => isMissing)).toEqual([true, false]);
    expect(counts.states()).toEqual([{ signal: "routing_key", requests: 464, without: 232, isMissing: false }]);
  });

  test.each([1, 2])("is counted where %d threads count", (threads) => {
    const { counts } = setUp(undefined, threads);
    send(counts, 5);
    send(counts, 3, keyed);
    expect(counts.states()).toEqual([{ signal: "routing_key", requests: 8, without: 5, isMissing: false }]);
  });

  test("that some requests lack is not missing", () => {
    const { counts, news, clock } = setUp();
    for (let round = 0; round < 50; round += 1) {
      send(counts, 6, keyed);
      send(counts, 4);
      clock.ms += 5000;
    }
    expect(news).toEqual([]);
    expect(counts.states()[0]).toMatchObject({ requests: 500, without: 200, isMissing: false });
  });

  test("is not judged by a handful of requests", () => {
    const { counts, news, clock } = setUp();
    send(counts, 16);
    clock.ms += 100_000;
    expect(news).toEqual([]);
    send(counts, 16);
    expect(news).toHaveLength(1);
  });

  test("is told of once by all threads together", () => {
    const { counts, make, news } = setUp();
    const other = make();
    for (let count = 0; count < 100; count += 1) {
      send(counts, 1);
      send(other, 1);
    }
    expect(news).toHaveLength(1);
    expect(other.states()[0]).toMatchObject({ requests: 200, isMissing: true });
  });

  test("of each kind is looked for where it is", () => {
    const uses = "does something else";
    const { counts } = setUp({ prompt: uses, first_token: uses, kv_capacity: uses, cached_tokens: uses });
    counts.onPick(requestWith(), idleCandidate(0));
    counts.onAnswer(undefined);
    counts.onPick(requestWith({ isStream: true, promptBytes: () => Buffer.from("x") }), {
      ...idleCandidate(0),
      kvCapacityTokens: 1000,
    });
    counts.onAnswer({ promptTokens: 9, completionTokens: 1, cachedTokens: 0 });
    // The answer of a prefill worker is its first token.
    counts.onPick(requestWith(), { ...idleCandidate(0), role: "prefill" });
    expect(counts.states().map(({ signal, requests, without }) => [signal, requests, without])).toEqual([
      ["prompt", 3, 2],
      ["first_token", 3, 1],
      ["kv_capacity", 3, 2],
      ["cached_tokens", 2, 1],
    ]);
  });

  test("that a policy does not use is not looked for", () => {
    const { counts } = setUp({ prompt: "takes the least loaded worker" });
    const request = requestWith({
      routingKey: () => {
        throw new Error("nobody asked for it");
      },
    });
    send(counts, 1, request);
    expect(counts.states().map(({ signal }) => signal)).toEqual(["prompt"]);
  });
});
