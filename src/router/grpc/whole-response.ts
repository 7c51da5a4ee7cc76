import type { WorkerResponse } from "../response-stage.ts";

const HEADERS: ReadonlyMap<string, string> = new Map([["content-type", "application/json"]]);

/** A complete answer as a worker's response. */
export function wholeResponse(json: string): WorkerResponse {
  let rest: Uint8Array | undefined = Buffer.from(json);
  const read = (): Uint8Array | undefined => {
    const body = rest;
    rest = undefined;
    return body;
  };
  return {
    status: 200,
    headers: HEADERS,
    read,
    bytes: () => Promise.resolve(read() ?? new Uint8Array(0)),
    discard: () => undefined,
  };
}
