import type { Dialect } from "../protocol/dialect.ts";
import type { Attempt } from "./attempt.ts";
import type { WorkerResponse } from "./response-stage.ts";

/** A worker's answer and its attempt. */
export interface StreamSource {
  readonly upstream: WorkerResponse;
  readonly attempt: Attempt;
}

/**
 * Reads the end of the body after the last event, so that the connection can be used again. `rest`: bytes behind that event that have been
 * read. Nothing may stand there, as it could be meant for another request; but for one `[DONE]`, where that is not what ends the API's streams.
 */
export async function finishUpstream(
  { upstream }: Pick<StreamSource, "upstream">,
  rest: Uint8Array,
  { endsWithDone }: Pick<Dialect, "endsWithDone">,
): Promise<void> {
  const most = endsWithDone ? 0 : LONGEST_MARKER;
  let behind = Buffer.from(rest);
  try {
    while (behind.length <= most && isPartOfMarker(behind)) {
      const piece = await upstream.read();
      if (!piece) return;
      behind = Buffer.concat([behind, piece]);
    }
    upstream.discard();
  } catch {
    // The client has its whole answer. A connection that ends badly is just not used again.
  }
}

function isPartOfMarker(bytes: Buffer): boolean {
  return MARKER.startsWith(bytes.toString("latin1").replaceAll(SPACES, ""));
}

const MARKER = "data:[DONE]";
/** With white space around it, bytes. */
const LONGEST_MARKER = 64;
const SPACES = /[\t\r\n ]+/g;
