import { describe, expect, test } from "bun:test";
import { type Job, type JobSources, loadOf, runJob, type Traces, USUAL_SITUATION } from "./job.ts";

const JOB: Job = {
  load: "chat",
  isTrace: false,
  policy: "round_robin",
  seed: 5,
  rate: 1,
  ...USUAL_SITUATION,
  durationSecs: 20,
  workers: 4,
};

const NO_TRACES: Traces = new Map();
const NONE: JobSources = { traces: NO_TRACES, own: undefined };

describe("a fleet that is divided", () => {
  test("has its prefill workers first, and answers with pairs", () => {
    const job: Job = { ...JOB, prefillWorkers: 3 };
    expect(loadOf(job, NO_TRACES).workers.map(({ role }) => role)).toEqual(["prefill", "prefill", "prefill", "decode"]);
    const outcome = runJob(job, NONE, () => undefined);
    expect(outcome.summary.failed).toBe(0);
    expect(outcome.summary.maxShare).toBe(1);
  });

  test("takes longer where the hand-over does", () => {
    const ttft = (handOverUs: number): number =>
      runJob({ ...JOB, prefillWorkers: 2, handOverUs }, NONE, () => undefined).summary.ttft.mean;
    expect(ttft(500)).toBeGreaterThan(ttft(10) + 100);
  });
});

describe("the load of a job", () => {
  test("has the fleet, the faults and the SLO that were asked for", () => {
    const fault = { kind: "die", worker: 3, atMs: 10 } as const;
    const load = loadOf(
      {
        ...JOB,
        kvTokens: 5000,
        slowness: 2,
        faults: [fault],
        slo: { ttftMs: 1, tpotMs: 2 },
      },
      NO_TRACES,
    );
    expect(load.workers.map(({ kvTokens, slowness }) => [kvTokens, slowness])).toEqual(
      Array.from({ length: 4 }, () => [5000, 2]),
    );
    expect([load.faults, load.slo, load.durationMs]).toEqual([[fault], { ttftMs: 1, tpotMs: 2 }, 20_000]);
  });

  test("that nobody knows is refused, with what was likely meant", () => {
    expect(() => loadOf({ ...JOB, load: "chatt" }, NO_TRACES)).toThrow('unknown load "chatt"; did you mean chat?');
    expect(() => loadOf({ ...JOB, load: "zzzzzzzz" }, NO_TRACES)).toThrow("the loads are chat");
  });
});

describe("a job", () => {
  test("comes to the same each time it runs, but for the time of this machine", () => {
    const [one, other] = [JOB, JOB].map((job) => runJob(job, NONE, () => undefined));
    expect(one?.summary.requests).toBeGreaterThan(50);
    expect(one?.ttftMs).toEqual(other?.ttftMs ?? []);
    expect(one?.inFlight).toEqual(other?.inFlight ?? []);
  });

  test("says how far it is, and never goes back", () => {
    const shares: number[] = [];
    runJob(JOB, NONE, (share) => shares.push(share));
    expect(shares.length).toBeGreaterThan(5);
    expect(shares).toEqual(shares.toSorted((a, b) => a - b));
    expect(Math.max(...shares)).toBe(1);
  });

  test("with engines twice as slow, or a worker that freezes, has later first tokens", () => {
    const usual = runJob(JOB, NONE, () => undefined).summary.ttft.mean;
    const slow = runJob({ ...JOB, slowness: 2 }, NONE, () => undefined).summary.ttft.mean;
    const faults = [{ kind: "freeze", worker: 0, atMs: 5000, ms: 6000 }] as const;
    const frozen = runJob({ ...JOB, faults }, NONE, () => undefined).summary.ttft.mean;
    expect(slow).toBeGreaterThan(usual * 1.5);
    expect(frozen).toBeGreaterThan(usual * 1.5);
  });
});
