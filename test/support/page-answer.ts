import type { UpstreamResponse } from "../../src/transport/upstream.ts";

/** A worker's whole answer, as its transport gives it. */
export function pageAnswer(status: number, body: string, onDiscard: () => void = () => undefined): UpstreamResponse {
  const bytes = Buffer.from(body);
  return {
    status,
    headers: new Map([["content-type", "application/json"]]),
    read: () => undefined,
    bytes: async () => bytes,
    discard: onDiscard,
  };
}
