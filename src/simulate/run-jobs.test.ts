import { describe, expect, test } from "bun:test";
import type { Job } from "./job.ts";
import type { JobNews } from "./job-thread.ts";
import type { Outcome } from "./outcome.ts";
import { type JobThread, runJobs } from "./run-jobs.ts";

function jobs(count: number): Job[] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the threads of these tests look at nothing else
  return Array.from({ length: count }, (_, seed) => ({ load: "l", policy: "p", seed }) as Job);
}

/** Threads whose jobs end when the test says so. */
function heldThreads() {
  const running: { readonly seed: number; readonly say: (news: JobNews) => void }[] = [];
  let [ended, spawned] = [0, 0];
  const spawn = (): JobThread => {
    spawned += 1;
    return { run: ({ seed }, say) => void running.push({ seed, say }), end: () => void (ended += 1) };
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only passed on
  const done = (seed: number): JobNews => ({ type: "done", outcome: { seed } as Outcome });
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return { running, spawn, done, turn, counts: () => ({ spawned, ended }) };
}

const ignore = (): void => undefined;

describe("jobs", () => {
  test("run on as many threads as there are, and their outcomes stand in their order", async () => {
    const { running, spawn, done, turn, counts } = heldThreads();
    const all = runJobs(jobs(4), 2, ignore, spawn);
    expect(running.map(({ seed }) => seed)).toEqual([0, 1]);
    running[1]?.say(done(1));
    await turn();
    expect(running.map(({ seed }) => seed)).toEqual([0, 1, 2]);
    for (const at of [2, 0]) running[at]?.say(done(at));
    await turn();
    running[3]?.say(done(3));
    expect((await all).map(({ seed }) => seed)).toEqual([0, 1, 2, 3]);
    expect(counts()).toEqual({ spawned: 2, ended: 2 });
  });

  test("need no more threads than there are jobs", async () => {
    const { running, spawn, done, counts } = heldThreads();
    const all = runJobs(jobs(1), 8, ignore, spawn);
    running[0]?.say(done(0));
    await all;
    expect(counts()).toEqual({ spawned: 1, ended: 1 });
  });

  test("say together how far they are", async () => {
    const { running, spawn, done, turn } = heldThreads();
    const shares: number[] = [];
    const all = runJobs(jobs(2), 1, (share) => shares.push(share), spawn);
    running[0]?.say({ type: "progress", share: 0.5 });
    running[0]?.say(done(0));
    await turn();
    running[1]?.say({ type: "progress", share: 0.5 });
    running[1]?.say(done(1));
    await all;
    expect(shares).toEqual([0.25, 0.5, 0.75, 1]);
  });

  test("of which one fails end all threads, and the error names the job", async () => {
    const { running, spawn, counts } = heldThreads();
    const all = runJobs(jobs(3), 2, ignore, spawn);
    running[0]?.say({ type: "failed", message: "no such thing", isPolicy: false });
    expect(all).rejects.toThrow("l, p: no such thing");
    await all.catch(() => undefined);
    expect(counts()).toEqual({ spawned: 2, ended: 2 });
  });
});
