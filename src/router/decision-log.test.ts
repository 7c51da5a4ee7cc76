import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type FleetSetup, setUpFleet } from "../../test/support/fleet.ts";
import { chosen } from "../../test/support/routing.ts";
import type { Chosen } from "./chosen.ts";
import { DecisionLog, type DecisionQuery, type LoggedRequest } from "./decision-log.ts";

const WALL_START = Date.UTC(2026, 0, 1);
const ANY: DecisionQuery = { requestId: undefined, model: undefined, worker: undefined, limit: 100 };

interface Setup extends FleetSetup {
  readonly log: DecisionLog;
  /** Notes a choice of this worker now. */
  begin(url: string, request?: Partial<LoggedRequest>, more?: Partial<Chosen>): number;
}

function setUp(size = 8): Setup {
  const fleet = setUpFleet();
  const { clock } = fleet;
  const startedAt = clock.now();
  const workers = new Map(
    (["regular", "prefill", "decode"] as const).map((workerType) => {
      const url = `http://${workerType}:1`;
      return [url, fleet.add(url, { modelId: "m", workerType })] as const;
    }),
  );
  // The wall clock has moved by an hour meanwhile; the log's times do not jump with it.
  const log = new DecisionLog(size, clock, () => WALL_START + clock.now() - startedAt);
  return {
    ...fleet,
    log,
    begin(url, request = {}, more = {}) {
      const worker = workers.get(url);
      if (!worker) throw new Error(`there is no worker ${url}`);
      const logged = {
        requestId: "r1",
        endpoint: "chat_completions",
        model: "m",
        isStream: true,
        attempts: 1,
        ...request,
      };
      return log.begin(chosen(worker, more), logged, clock.now());
    },
  };
}

describe("a choice", () => {
  test("is there while it runs, with what was expected of it", () => {
    const { log, begin } = setUp();
    const pick = { index: 0, chargeTokens: 40, predictedTtftMs: 120, predictedCachedTokens: 8 };
    begin("http://regular:1", {}, { pick, policy: "p", reason: "lowest_cost", candidates: 3 });
    expect(log.find(ANY)).toEqual([
      {
        at: WALL_START,
        requestId: "r1",
        endpoint: "chat_completions",
        model: "m",
        isStream: true,
        attempt: 1,
        legs: [
          {
            role: "regular",
            policy: "p",
            worker: "http://regular:1",
            reason: "lowest_cost",
            candidates: 3,
            chargeTokens: 40,
            predictedTtftMs: 120,
            ttftMs: undefined,
            predictedCachedTokens: 8,
            cachedTokens: undefined,
            promptTokens: undefined,
            outcome: "running",
            durationMs: undefined,
            decision: undefined,
          },
        ],
      },
    ]);
  });

  test("has what came of it: the first token, the end, the worker's counts", () => {
    const { log, begin } = setUp();
    const ticket = begin("http://regular:1");
    log.firstToken(ticket, 90);
    log.end(ticket, "ok", 400, { promptTokens: 48, completionTokens: 5, cachedTokens: 16 });
    expect(log.find(ANY)[0]?.legs[0]).toMatchObject({
      ttftMs: 90,
      durationMs: 400,
      promptTokens: 48,
      cachedTokens: 16,
      outcome: "ok",
    });
  });

  test("has the time at which it was made, however much later somebody asks", () => {
    const { log, begin, clock } = setUp();
    clock.advance(1500);
    begin("http://regular:1");
    clock.advance(60_000);
    expect(log.find(ANY)[0]?.at).toBe(WALL_START + 1500);
  });

  test("keeps a model's name to a length, as clients may send any", () => {
    const { log, begin } = setUp();
    begin("http://regular:1", { model: "x".repeat(100_000) });
    expect(log.find(ANY)[0]?.model).toBe("x".repeat(256));
  });
});

test("the two workers of a pair are one try, prefill first", () => {
  const { log, begin } = setUp();
  begin("http://prefill:1");
  begin("http://decode:1");
  begin("http://prefill:1", { attempts: 2 });
  begin("http://decode:1", { attempts: 2 });
  expect(log.find(ANY).map(({ attempt, legs }) => [attempt, ...legs.map(({ role }) => role)])).toEqual([
    [2, "prefill", "decode"],
    [1, "prefill", "decode"],
  ]);
});

test("a decode worker that was asked alone is a try of its own", () => {
  const { log, begin } = setUp();
  begin("http://prefill:1");
  begin("http://decode:1", { requestId: "r2" });
  expect(log.find(ANY).map(({ requestId, legs }) => [requestId, legs.length])).toEqual([
    ["r2", 1],
    ["r1", 1],
  ]);
});

describe("somebody who asks", () => {
  const asked = (query: Partial<DecisionQuery>): string[] => {
    const { log, begin } = setUp();
    begin("http://regular:1", { requestId: "r1", model: "a" });
    begin("http://prefill:1", { requestId: "r2", model: "b" });
    begin("http://decode:1", { requestId: "r2", model: "b" });
    begin("http://regular:1", { requestId: "r3", model: "b" });
    return log.find({ ...ANY, ...query }).map(({ requestId }) => requestId);
  };

  test("gets the newest first", () => expect(asked({})).toEqual(["r3", "r2", "r1"]));
  test("gets as many as wanted", () => expect(asked({ limit: 2 })).toEqual(["r3", "r2"]));
  test("gets those of a request", () => expect(asked({ requestId: "r1" })).toEqual(["r1"]));
  test("gets those of a model", () => expect(asked({ model: "b" })).toEqual(["r3", "r2"]));
  test("gets those of a worker, whichever leg it was", () => {
    expect(asked({ worker: "http://prefill:1" })).toEqual(["r2"]);
    expect(asked({ worker: "http://regular:1", model: "b" })).toEqual(["r3"]);
  });
  test("gets none where none is as asked for", () => expect(asked({ model: "c" })).toEqual([]));
});

test("however many choices there were, the log has the last ones, and what is told of older ones changes nothing", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 0, max: 30 }), (size, count) => {
      const { log, begin } = setUp(size);
      const tickets = Array.from({ length: count }, (_, index) =>
        begin("http://regular:1", { requestId: `r${index}` }),
      );
      for (const [index, ticket] of tickets.entries()) log.firstToken(ticket, index);
      for (const [index, ticket] of tickets.entries()) log.end(ticket, "ok", index * 10, undefined);
      const kept = log.find(ANY).map(({ requestId, legs: [leg] }) => [requestId, leg?.ttftMs, leg?.durationMs]);
      const last = Array.from({ length: Math.min(size, count) }, (_, back) => count - 1 - back);
      expect(kept).toEqual(last.map((index) => [`r${index}`, index, index * 10]));
    }),
  );
});
