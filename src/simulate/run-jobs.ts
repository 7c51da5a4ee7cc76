import { GatewayError } from "../errors/errors.ts";
import type { Job } from "./job.ts";
import type { JobNews, JobOrder, SourcesOfJobs } from "./job-thread.ts";
import type { Outcome } from "./outcome.ts";
import { threadUrl } from "../util/thread-url.ts";

/** Told of the work as it goes on: the share of all jobs that is done, 0 to 1, and a job that runs. */
export type OnProgress = (share: number, job: Job) => void;

/** A thread that runs jobs; tests pass one that does not. */
export interface JobThread {
  run(job: Job, onNews: (news: JobNews) => void): void;
  end(): void;
}

/** Runs jobs on up to `threads` threads at once. Outcomes stand in the order of the jobs. Rejects with the first error of a job, policy_failed for one of the operator's policy. */
export async function runJobs(
  jobs: readonly Job[],
  threads: number,
  onProgress: OnProgress,
  spawn: () => JobThread,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const shares = jobs.map(() => 0);
  let next = 0;
  const work = async (thread: JobThread): Promise<void> => {
    for (let at = next++; at < jobs.length; at = next++) {
      const job = jobs[at];
      if (!job) return;
      outcomes[at] = await runOn(thread, job, (share) => {
        shares[at] = share;
        onProgress(shares.reduce((sum, one) => sum + one, 0) / jobs.length, job);
      });
    }
  };
  const all = Array.from({ length: Math.min(threads, jobs.length) }, spawn);
  try {
    await Promise.all(all.map(work));
  } finally {
    for (const thread of all) thread.end();
  }
  return outcomes;
}

function runOn(thread: JobThread, job: Job, onShare: (share: number) => void): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    thread.run(job, (news) => {
      if (news.type === "progress") onShare(news.share);
      else if (news.type === "failed") reject(errorOf(job, news));
      else {
        onShare(1);
        resolve(news.outcome);
      }
    });
  });
}

function errorOf({ load, policy }: Job, { message, isPolicy }: JobNews & { readonly type: "failed" }): Error {
  const text = `${load}, ${policy}: ${message}`;
  return isPolicy ? new GatewayError("policy_failed", text) : new Error(text);
}

/** A thread of its own for the jobs of a study. */
export function spawnJobThread(sources: SourcesOfJobs): JobThread {
  const worker = new Worker(threadUrl("simulate/job-thread.ts"));
  const tell = (order: JobOrder): void => worker.postMessage(order);
  tell({ type: "begin", sources });
  let listener: (news: JobNews) => void = () => undefined;
  worker.addEventListener("message", ({ data }: { data: JobNews }) => listener(data));
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    listener({ type: "failed", message: event.message, isPolicy: false });
  });
  return {
    run(job, onNews) {
      listener = onNews;
      tell({ type: "run", job });
    },
    end: () => worker.terminate(),
  };
}
