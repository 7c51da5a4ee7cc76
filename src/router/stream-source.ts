import type { Attempt } from "./attempt.ts";
import type { WorkerResponse } from "./response-stage.ts";

/** A worker's answer and its attempt. */
export interface StreamSource {
  readonly upstream: WorkerResponse;
  readonly attempt: Attempt;
}

/** Reads the end of the body after the end marker, so that the connection can be used again. `hasRest`: bytes came behind the marker. */
export async function finishUpstream({ upstream }: Pick<StreamSource, "upstream">, hasRest: boolean): Promise<void> {
  try {
    if (hasRest || (await upstream.read())) upstream.discard();
  } catch {
    // The client has its whole answer. A connection that ends badly is just not used again.
  }
}
