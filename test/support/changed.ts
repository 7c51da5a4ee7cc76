import { changeEvent } from "../../src/router/answer-change.ts";
import type { WorkerResponse } from "../../src/router/response-stage.ts";
import { SseFramer } from "../../src/transport/sse-framer.ts";

/** The stream as it passes with its changes made, whatever its events mean. */
export async function changed(response: WorkerResponse): Promise<string> {
  const framer = new SseFramer((name, data, text) =>
    changeEvent(response.changes ?? [], { name, data, text }, () => "pass"),
  );
  const pieces: Uint8Array[] = [];
  for (let next = await response.read(); next; next = await response.read()) {
    pieces.push(Buffer.from(framer.push(next)));
  }
  return Buffer.concat(pieces).toString();
}
