import { type Job, runJob, type Traces } from "./job.ts";
import type { Outcome } from "./outcome.ts";
import { errorMessage } from "../util/error-message.ts";

/** What a thread says of its job. */
export type JobNews =
  | { readonly type: "progress"; readonly share: number }
  | { readonly type: "done"; readonly outcome: Outcome }
  | { readonly type: "failed"; readonly message: string };

/** What a thread is told: first the traces of the study, then one job after the other. */
export type JobOrder =
  | { readonly type: "traces"; readonly traces: Traces }
  | { readonly type: "run"; readonly job: Job };

/** Entry of a thread that runs one job after the other. */
declare const self: {
  postMessage(news: JobNews): void;
  addEventListener(type: "message", listener: (event: { data: JobOrder }) => void): void;
};

let traces: Traces = new Map();

self.addEventListener("message", ({ data }) => {
  if (data.type === "traces") {
    traces = data.traces;
    return;
  }
  try {
    const outcome = runJob(data.job, traces, (share) => self.postMessage({ type: "progress", share }));
    self.postMessage({ type: "done", outcome });
  } catch (error) {
    self.postMessage({ type: "failed", message: errorMessage(error) });
  }
});
