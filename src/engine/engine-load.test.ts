import { expect, test } from "bun:test";
import fc from "fast-check";
import { engineLoadOf } from "./engine-load.ts";

test("ranks of SGLang's page are one load: requests are added up, and shares of caches averaged", () => {
  const loads = [
    { dp_rank: 0, num_running_reqs: 3, num_waiting_reqs: 1, token_usage: 0.5 },
    { dp_rank: 1, num_running_reqs: 4, num_waiting_reqs: 0, token_usage: 0.7 },
  ];
  expect(engineLoadOf({ loads }, undefined)).toEqual({ running: 7, waiting: 1, kvUsage: 0.6 });
});

test("an older page counts all requests and the tokens that are taken", () => {
  const loads = [
    { num_reqs: 5, num_waiting_reqs: 2, num_tokens: 300 },
    { num_reqs: 1, num_waiting_reqs: 0, num_tokens: 100 },
  ];
  expect(engineLoadOf({ loads }, 1000)).toEqual({ running: 4, waiting: 2, kvUsage: 0.4 });
  expect(engineLoadOf({ loads }, undefined)?.kvUsage).toBeUndefined();
});

test("a report that counts no requests is none", () => {
  for (const report of [
    {},
    { loads: [] },
    { loads: 7 },
    { load: 7 },
    { loads: [{ num_tokens: 5 }] },
    { loads: [null] },
  ])
    expect(engineLoadOf(report, 1000)).toBeUndefined();
});

test("whatever a server says, a load is of numbers that are no less than nothing, or there is none", () => {
  const rank = fc.dictionary(
    fc.constantFrom("num_reqs", "num_running_reqs", "num_waiting_reqs", "token_usage", "num_tokens"),
    fc.oneof(fc.nat(), fc.string(), fc.constant(null), fc.double()),
  );
  fc.assert(
    fc.property(fc.array(rank), (loads) => {
      const load = engineLoadOf({ loads }, 1000);
      for (const value of [load?.running, load?.waiting, load?.kvUsage])
        expect(value === undefined || (Number.isFinite(value) && value >= 0)).toBe(true);
    }),
  );
});
