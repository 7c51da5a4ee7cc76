import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { WorkerDrainer } from "./worker-drainer.ts";

interface Setup {
  readonly clock: ManualClock;
  readonly drainer: WorkerDrainer;
  readonly worker: { requestsInFlight: number };
  /** How often a drain has ended. */
  readonly ends: () => number;
  readonly drain: (timeoutMs: number) => void;
}

function setUp(requestsInFlight: number): Setup {
  const clock = new ManualClock();
  const drainer = new WorkerDrainer(clock);
  const worker = { requestsInFlight };
  let ends = 0;
  return {
    clock,
    drainer,
    worker,
    ends: () => ends,
    drain: (timeoutMs) => drainer.drain(worker, timeoutMs, () => void (ends += 1)),
  };
}

test("a worker without requests is drained at once, without a timer", () => {
  const { clock, drain, ends } = setUp(0);
  drain(60_000);
  expect([ends(), clock.pending]).toEqual([1, 0]);
});

test("a worker with requests is drained with its last one, once", () => {
  const { clock, worker, drain, ends } = setUp(2);
  drain(60_000);
  clock.advance(10_000);
  worker.requestsInFlight = 1;
  clock.advance(10_000);
  expect(ends()).toBe(0);
  worker.requestsInFlight = 0;
  clock.advance(20);
  clock.advance(60_000);
  expect([ends(), clock.pending]).toEqual([1, 0]);
});

test("a request that does not end is waited for within the bound", () => {
  const { clock, drain, ends } = setUp(1);
  drain(5000);
  clock.advance(4990);
  expect(ends()).toBe(0);
  clock.advance(30);
  expect([ends(), clock.pending]).toEqual([1, 0]);
});

test("a drainer that is disposed leaves no timer, and ends nothing afterwards", () => {
  const { clock, drainer, worker, drain, ends } = setUp(1);
  drain(5000);
  drain(9000);
  drainer[Symbol.dispose]();
  worker.requestsInFlight = 0;
  clock.advance(60_000);
  expect([ends(), clock.pending]).toEqual([0, 0]);
});
