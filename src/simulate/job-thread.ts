import { type Job, runJob } from "./job.ts";
import type { Outcome } from "./outcome.ts";
import { errorMessage } from "../util/error-message.ts";

/** What a thread says of its job. */
export type JobNews =
  | { readonly type: "progress"; readonly share: number }
  | { readonly type: "done"; readonly outcome: Outcome }
  | { readonly type: "failed"; readonly message: string };

/** Entry of a thread that runs one job after the other. */
declare const self: {
  postMessage(news: JobNews): void;
  addEventListener(type: "message", listener: (event: { data: Job }) => void): void;
};

self.addEventListener("message", ({ data }) => {
  try {
    const outcome = runJob(data, (share) => self.postMessage({ type: "progress", share }));
    self.postMessage({ type: "done", outcome });
  } catch (error) {
    self.postMessage({ type: "failed", message: errorMessage(error) });
  }
});
