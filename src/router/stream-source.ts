import type { Attempt } from "./attempt.ts";
import type { WorkerResponse } from "./response-stage.ts";

/** A worker's answer and its attempt. */
export interface StreamSource {
  readonly upstream: WorkerResponse;
  readonly attempt: Attempt;
}
