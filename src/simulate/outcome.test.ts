import { expect, test } from "bun:test";
import { Records } from "./driver-records.ts";
import { LAB_ENGINE } from "./engine-models.ts";
import type { Load } from "./loads/load.ts";
import { outcomeOf } from "./outcome.ts";

const WORKER = { engine: LAB_ENGINE, kvTokens: 1000, slowness: 1, joinsAtMs: 0 };
/** 60 spans of 100 ms each. */
const LOAD: Load = {
  name: "made",
  workers: [WORKER, WORKER],
  sessions: [],
  faults: [],
  slo: { ttftMs: 100, tpotMs: 10 },
  durationMs: 6000,
  warmupMs: 1000,
};

/** A run with answered requests at these times. */
function outcome(...rows: readonly { at: number; ttft: number; total: number; worker: number }[]) {
  const records = new Records();
  for (const { at, ttft, total, worker } of rows) {
    const row = records.add(at, 0);
    [records.ttftMs[row], records.totalMs[row], records.worker[row]] = [ttft, total, worker];
    [records.outcome[row], records.promptTokens[row], records.outputTokens[row]] = [0, 10, 2];
  }
  return outcomeOf({ load: LOAD, policy: "p", seed: 3, records, preemptions: 0 }, 1.5, 12);
}

test("an outcome names its run, and sums up the requests after the warm-up", () => {
  const made = outcome(
    { at: 500, ttft: 9000, total: 9100, worker: 0 },
    { at: 1000, ttft: 10, total: 20, worker: 0 },
    { at: 2000, ttft: 30, total: 40, worker: 1 },
  );
  expect(made).toMatchObject({ load: "made", policy: "p", seed: 3, rate: 1.5, tookMs: 12 });
  expect(made.summary.ttft.mean).toBe(20);
  expect([made.ttftMs.length, made.ttftMs[0], made.ttftMs.at(-1)]).toEqual([201, 10, 30]);
});

test("requests in flight are means over spans: the time spent there, divided by the length of the span", () => {
  const { inFlight } = outcome(
    { at: 50, ttft: 1, total: 200, worker: 0 },
    { at: 100, ttft: 1, total: 50, worker: 0 },
    { at: 5950, ttft: 1, total: 500, worker: 1 },
  );
  expect(inFlight).toHaveLength(2);
  expect(inFlight[0]?.slice(0, 4)).toEqual([0.5, 1.5, 0.5, 0]);
  expect(inFlight[1]?.slice(-2)).toEqual([0, 0.5]);
});
