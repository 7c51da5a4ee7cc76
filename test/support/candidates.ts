import type { Candidate, RequestFeatures } from "../../src/policy/policy.ts";

/** A worker without work, as a policy sees it. */
export function idleCandidate(slot: number): Candidate {
  return { id: `w${slot}`, url: `http://w${slot}:1`, slot, inFlight: 0, pendingPromptTokens: 0 };
}

/** A request that says nothing to choose by. */
export const PLAIN_REQUEST: RequestFeatures = {
  model: "m",
  promptTokens: 1,
  promptBytes: () => new Uint8Array(),
  routingKey: () => undefined,
};
