import { describe, expect, test } from "bun:test";
import { quantile, ratesBetween, sampleOf } from "./fleet-samples.ts";

const URL_ONE = "http://one:8000";
const view = {
  url: URL_ONE,
  status: "ready",
  load: 3,
  pending_prompt_tokens: 1200,
  models: ["m"],
  cordoned: false,
  trouble: null,
};

function page(ok: number, failed: number, tokens: number, fast: number, slow: number): string {
  const labels = `model="m",worker="${URL_ONE}"`;
  return [
    "# HELP pointsman_worker_attempts_total said",
    `pointsman_worker_attempts_total{${labels},outcome="ok"} ${ok}`,
    `pointsman_worker_attempts_total{${labels},outcome="upstream_error"} ${failed}`,
    `pointsman_worker_attempts_total{model="m",worker="http://other:1",outcome="ok"} 999`,
    `pointsman_completion_tokens_total{${labels}} ${tokens}`,
    `pointsman_prompt_tokens_total{${labels}} ${tokens * 4}`,
    `pointsman_cached_prompt_tokens_total{${labels}} ${tokens}`,
    `pointsman_time_to_first_token_seconds_bucket{${labels},le="0.1"} ${fast}`,
    `pointsman_time_to_first_token_seconds_bucket{${labels},le="1"} ${fast + slow}`,
    `pointsman_time_to_first_token_seconds_bucket{${labels},le="+Inf"} ${fast + slow}`,
  ].join("\n");
}

describe("a worker between two looks", () => {
  test("has rates a second, shares and times of what happened between them", () => {
    const before = sampleOf(1000, { workers: [view] }, page(100, 0, 1000, 50, 0));
    const after = sampleOf(
      3000,
      { workers: [{ ...view, trouble: "busy", cordoned: true }] },
      page(118, 2, 1400, 60, 10),
    );
    expect(ratesBetween(before, after)).toEqual([
      {
        url: URL_ONE,
        state: "ready,cordoned,busy",
        inFlight: 3,
        pendingTokens: 1200,
        models: ["m"],
        requests: 10,
        failedShare: 0.1,
        tokens: 200,
        cachedShare: 0.25,
        ttftP50: 0.1,
        ttftP95: expect.closeTo(0.91, 5),
      },
    ]);
  });

  test("that is new, and one whose counters began anew, counts from nothing", () => {
    const after = sampleOf(2000, { workers: [view] }, page(10, 0, 100, 5, 0));
    const [fresh] = ratesBetween({ at: 1000, workers: [] }, after);
    expect([fresh?.requests, fresh?.tokens]).toEqual([10, 100]);
    const restarted = ratesBetween(sampleOf(1000, { workers: [view] }, page(500, 0, 9000, 90, 0)), after);
    expect(restarted[0]).toMatchObject({ requests: 0, tokens: 0, failedShare: undefined, ttftP50: undefined });
  });

  test("that nobody asked has no shares and no times", () => {
    const sample = sampleOf(0, { workers: [view] }, "");
    expect(ratesBetween(sample, { ...sample, at: 1000 })[0]).toMatchObject({
      requests: 0,
      failedShare: undefined,
      cachedShare: undefined,
      ttftP95: undefined,
    });
  });
});

test("a worker that the metrics count among others has no rates", () => {
  const lumped = 'pointsman_worker_attempts_total{model="m",worker="other",outcome="ok"}';
  const look = (count: number, at: number): ReturnType<typeof sampleOf> =>
    sampleOf(
      at,
      { workers: [view, { ...view, url: "http://two:8000" }] },
      `${page(count, 0, count, 1, 1)}\n${lumped} ${count}`,
    );
  const rates = ratesBetween(look(0, 0), look(10, 1000));
  expect(rates.map(({ requests, tokens }) => [requests, tokens])).toEqual([
    [10, 10],
    [undefined, undefined],
  ]);
  expect(rates[1]?.failedShare).toBeUndefined();
});

test("a quantile is linear within its bucket, and the last bound where it is beyond", () => {
  const buckets: [number, number][] = [
    [0.1, 10],
    [1, 20],
    [Number.POSITIVE_INFINITY, 30],
  ];
  expect([quantile(buckets, 0.1), quantile(buckets, 0.5), quantile(buckets, 0.99), quantile([], 0.5)]).toEqual([
    expect.closeTo(0.03, 5),
    expect.closeTo(0.55, 5),
    1,
    undefined,
  ]);
});
