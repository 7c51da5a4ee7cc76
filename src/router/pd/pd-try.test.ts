import { describe, expect, test } from "bun:test";
import { PlayedResponse, type RoutingSetup, setUpRouting } from "../../../test/support/routing.ts";
import { connectorNamed } from "../../engine/connectors.ts";
import type { PickEnd } from "../../policy/policy.ts";
import { GatewayError } from "../../errors/errors.ts";
import { PdTry } from "./pd-try.ts";

const LOST = new GatewayError("upstream_closed", "gone");

interface Setup extends RoutingSetup {
  readonly pd: PdTry;
  /** What the policy of the prefill worker heard. */
  readonly ends: readonly PickEnd[];
}

function setUp(): Setup {
  const setup = setUpRouting();
  const ends: PickEnd[] = [];
  const pick = { index: 0, onEnd: (end: PickEnd) => void ends.push(end) };
  const prefill = setup.attempt(setup.add("http://p:1", { modelId: "m", workerType: "prefill" }), undefined, pick);
  const decode = setup.attempt(setup.add("http://d:1", { modelId: "m", workerType: "decode" }));
  const parts = { metrics: setup.metrics, request: setup.request(), connector: connectorNamed("nixl") };
  return { ...setup, ends, pd: new PdTry({ ...parts, prefill, decode }) };
}

const handovers = ({ metrics }: Setup): string[] =>
  metrics
    .expose()
    .split("\n")
    .filter((line) => line.startsWith("pointsman_kv_transfers_total{"))
    .map((line) => /outcome="(\w+)"/.exec(line)?.[1] ?? "");

const errorOf = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

test("connectors are told of both workers and of the id that both get", () => {
  const { pd } = setUp();
  expect([pd.asked.prefill.url, pd.asked.decode.url]).toEqual(["http://p:1", "http://d:1"]);
  expect(pd.asked.requestId).toStartWith("r1");
});

describe("prefill", () => {
  test("that went well ends its attempt, and counts the hand-over and how long it took", async () => {
    const setup = setUp();
    const answer = await setup.pd.prefilled({
      answered: async () => {
        setup.clock.advance(2000);
        return 7;
      },
      outcomeOf: () => "handed_over",
      tokensOf: () => undefined,
    });
    expect([answer, setup.ledger.inFlight(setup.pd.exchange.prefill.worker.slot)]).toEqual([7, 0]);
    expect(handovers(setup)).toEqual(["handed_over"]);
    expect(setup.metrics.expose()).toMatch(/pointsman_prefill_duration_seconds_sum\{[^}]*\} 2\n/);
  });

  test("of which only what comes later can tell counts no hand-over yet", async () => {
    const setup = setUp();
    await setup.pd.prefilled({
      answered: async () => 7,
      outcomeOf: () => undefined,
      tokensOf: () => undefined,
    });
    expect(handovers(setup)).toEqual([]);
  });

  test("tells its policy what its own answer counts", async () => {
    const { pd, ends } = setUp();
    const tokens = { promptTokens: 900, completionTokens: 1, cachedTokens: 640 };
    await pd.prefilled({ answered: async () => 7, outcomeOf: () => undefined, tokensOf: () => tokens });
    expect(ends).toEqual([{ outcome: "answered", ms: 0, usage: tokens }]);
  });

  test("that failed throws why, is counted, and ends decode", async () => {
    const setup = setUp();
    const failing = setup.pd.prefilled({
      answered: () => Promise.reject(LOST),
      outcomeOf: () => "handed_over",
      tokensOf: () => undefined,
    });
    expect(await errorOf(failing)).toBe(LOST);
    expect([handovers(setup), setup.pd.exchange.decodeSignal.aborted]).toEqual([["failed"], true]);
  });

  test("that was lost within its answer is as if it had not answered: the client has nothing of it", async () => {
    for (const [within, code] of [
      ["upstream_reset", "upstream_closed"],
      ["upstream_stalled", "upstream_timeout"],
    ] as const) {
      const { pd } = setUp();
      const answered = (): Promise<number> => Promise.reject(new GatewayError(within, "lost"));
      const failing = pd.prefilled({ answered, outcomeOf: () => undefined, tokensOf: () => undefined });
      expect(await errorOf(failing)).toMatchObject({ code });
      expect(pd.exchange.prefill.failure?.code).toBe(code);
    }
  });
});

describe("decode", () => {
  test("answers for both", async () => {
    const { pd } = setUp();
    const decoded = await pd.decoded(() => new PlayedResponse(["a"], { status: 201 }));
    expect(decoded.status).toBe(201);
  });

  test("that cannot be asked fails with prefill's error where that ended both", async () => {
    const { pd } = setUp();
    pd.exchange.prefillFailed(LOST);
    const cut = new GatewayError("client_closed", "cut");
    expect(await errorOf(pd.decoded(() => Promise.reject(cut)))).toBe(LOST);
  });
});

test("a try that fails ends what is still under way", async () => {
  const { pd, ledger } = setUp();
  expect(await errorOf(pd.run(() => Promise.reject(LOST)))).toBe(LOST);
  expect([pd.exchange.prefillSignal.aborted, pd.exchange.decodeSignal.aborted]).toEqual([true, true]);
  expect(ledger.inFlight(pd.exchange.prefill.worker.slot)).toBe(0);
});
