import type { Attempt } from "./attempt.ts";
import type { WorkerResponse } from "./response-stage.ts";

/** A worker that answers, and the attempt that its answer is counted as. */
export interface StreamSource {
  readonly upstream: WorkerResponse;
  readonly attempt: Attempt;
}
