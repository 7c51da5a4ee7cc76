import { errorMessage } from "../util/error-message.ts";
import { loadPolicyModule } from "../context/load-policy-module.ts";
import { GatewayError } from "../errors/errors.ts";
import { type Job, type JobSources, runJob, type Traces } from "./job.ts";
import type { Outcome } from "./outcome.ts";

/** What a thread says of its job. */
export type JobNews =
  | { readonly type: "progress"; readonly share: number }
  | { readonly type: "done"; readonly outcome: Outcome }
  /** `isPolicy`: the operator's policy failed. */
  | { readonly type: "failed"; readonly message: string; readonly isPolicy: boolean };

/** Where a thread has what its jobs are made of. */
export interface SourcesOfJobs {
  readonly traces: Traces;
  /** Path of the operator's policy module; undefined for none. */
  readonly policyModule: string | undefined;
}

/** What a thread is told: first the sources of its jobs, then one job after the other. */
export type JobOrder =
  | { readonly type: "begin"; readonly sources: SourcesOfJobs }
  | { readonly type: "run"; readonly job: Job };

/** Entry of a thread that runs one job after the other. */
declare const self: {
  postMessage(news: JobNews): void;
  addEventListener(type: "message", listener: (event: { data: JobOrder }) => void): void;
};

let sources: Promise<JobSources> = Promise.resolve({ traces: new Map(), own: undefined });

self.addEventListener("message", ({ data }) => {
  if (data.type === "begin") sources = load(data.sources);
  else void run(data.job);
});

async function load({ traces, policyModule }: SourcesOfJobs): Promise<JobSources> {
  return { traces, own: policyModule === undefined ? undefined : await loadPolicyModule(policyModule) };
}

async function run(job: Job): Promise<void> {
  try {
    const outcome = runJob(job, await sources, (share) => self.postMessage({ type: "progress", share }));
    self.postMessage({ type: "done", outcome });
  } catch (error) {
    const message = errorMessage(error);
    self.postMessage({
      type: "failed",
      message,
      isPolicy: error instanceof GatewayError && error.code === "policy_failed",
    });
  }
}
