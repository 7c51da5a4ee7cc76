import { describe, expect, test } from "bun:test";
import { setUpFleet } from "../../test/support/fleet.ts";
import { chosen } from "../../test/support/routing.ts";
import type { ConsideredWorker, Decision } from "../observability/decision.ts";
import { receiptOf } from "./receipt.ts";

function decisionAmong(count: number, termsEach = 2): Decision {
  const considered: ConsideredWorker[] = Array.from({ length: count }, (_, index) => ({
    worker: `http://w${index}:1`,
    cost: index + 0.123_456_789,
    terms: Object.fromEntries(Array.from({ length: termsEach }, (_term, at) => [`term_${at}`, 0.123_456_789])),
    predictedTtftMs: 12.345,
    cachedTokens: 7.6,
    inFlightTokens: 0,
  }));
  return {
    role: "regular",
    policy: "p",
    worker: "http://w0:1",
    reason: "lowest_cost",
    candidates: count,
    heldBack: 1,
    unit: "s",
    cost: 0.123_456_789,
    considered,
    chargeTokens: 40,
    predictedTtftMs: 12.345,
    predictedCachedTokens: 7.6,
  };
}

const fleet = setUpFleet();
const [one, prefill, decode] = (["regular", "prefill", "decode"] as const).map((workerType) =>
  fleet.add(`http://${workerType}:1`, { modelId: "m", workerType }),
);
if (!one || !prefill || !decode) throw new Error("a worker is missing");

describe("a receipt", () => {
  test("has the chosen worker, the reason, the prediction, and the few cheapest candidates", () => {
    const answer = chosen(one, { decision: decisionAmong(9), reason: "lowest_cost", candidates: 9 });
    const receipt: unknown = JSON.parse(receiptOf("r1", 2, { prefill: undefined, answer }));
    const candidate = { terms: { term_0: 0.123457, term_1: 0.123457 }, predicted_ttft_ms: 12.3, cached_tokens: 8 };
    expect(receipt).toEqual({
      request_id: "r1",
      attempt: 2,
      legs: [
        {
          role: "regular",
          policy: "first",
          worker: "http://regular:1",
          reason: "lowest_cost",
          candidates: 9,
          held_back: 1,
          predicted_ttft_ms: 12.3,
          predicted_cached_tokens: 8,
          unit: "s",
          cost: 0.123457,
          considered: [0, 1, 2, 3].map((index) => ({
            worker: `http://w${index}:1`,
            cost: index + 0.123457,
            ...candidate,
            in_flight_tokens: 0,
          })),
        },
      ],
    });
  });

  test("has both workers of a pair, and those that no policy was asked for", () => {
    const probe = chosen(prefill, { reason: "probe" });
    const { legs } = JSON.parse(receiptOf("r1", 1, { prefill: probe, answer: chosen(decode) })) as {
      readonly legs: readonly { readonly worker: string; readonly reason: string }[];
    };
    expect(legs.map(({ worker, reason }) => [worker, reason])).toEqual([
      ["http://prefill:1", "probe"],
      ["http://decode:1", "fixed"],
    ]);
  });

  test("stays within the size of a header, with fewer candidates where it must", () => {
    for (const terms of [30, 150, 100_000]) {
      const answer = chosen(one, { decision: decisionAmong(9, terms) });
      const text = receiptOf("r1", 1, { prefill: undefined, answer });
      expect(text.length).toBeLessThanOrEqual(4096);
      expect(text).toContain("http://regular:1");
    }
    const named = receiptOf("r1", 1, { prefill: undefined, answer: chosen(one, { policy: "p".repeat(9000) }) });
    expect(JSON.parse(named)).toEqual({ request_id: "r1", attempt: 1, legs: [{ worker: "http://regular:1" }] });
  });

  test("is text that a header may have, whatever an operator calls a policy", () => {
    const text = receiptOf("r1", 1, { prefill: undefined, answer: chosen(one, { policy: "näher\r\nx: 😀" }) });
    expect(text).toMatch(/^[ -~]+$/);
    expect(JSON.parse(text)).toMatchObject({ legs: [{ policy: "näher\r\nx: 😀" }] });
  });
});
