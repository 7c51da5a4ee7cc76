import type { PolicyRow } from "../../src/policy/define-policy.ts";
import type { Candidate, Policy, PolicyParts, RequestFeatures } from "../../src/policy/policy.ts";
import { hashPrompt, type PromptBlocks } from "../../src/policy/prefix-blocks.ts";

/** A worker without work, as a policy sees it. */
export function idleCandidate(slot: number): Candidate {
  return {
    id: `w${slot}`,
    url: `http://w${slot}:1`,
    slot,
    modelId: "m",
    role: "regular",
    labels: {},
    priority: 50,
    cost: 1,
    inFlight: 0,
    pendingPromptTokens: 0,
    decoding: 0,
    contextTokens: 0,
    kvCapacityTokens: undefined,
  };
}

/** Workers with so many requests in flight each. */
export function candidates(...inFlight: readonly number[]): Candidate[] {
  return inFlight.map((count, slot) => ({ ...idleCandidate(slot), inFlight: count }));
}

/** A request that says nothing to choose by, besides what is given. */
export function requestWith(features: Partial<RequestFeatures> = {}): RequestFeatures {
  let blocks: PromptBlocks | undefined;
  const request: RequestFeatures = {
    model: "m",
    isStream: false,
    promptTokens: 1,
    isTokenized: false,
    promptBytes: () => new Uint8Array(0),
    hasPrompt: () => request.promptBytes().length > 0,
    promptBlocks: () => (blocks ??= hashPrompt(request.promptBytes())),
    routingKey: () => undefined,
    ...features,
  };
  return request;
}

/** What an instance is made with where nothing is shared and the clock stands. */
const PARTS: PolicyParts = {
  memory: (bytes) => new SharedArrayBuffer(bytes),
  random: Math.random,
  now: () => 0,
  thread: 0,
  threads: 1,
};

/** An instance with options that differ from the defaults. */
export function createPolicy(
  row: Pick<PolicyRow, "create">,
  options: Readonly<Record<string, unknown>> = {},
  parts: Partial<PolicyParts> = {},
): Policy {
  return row.create(options, { ...PARTS, ...parts });
}

/** The index that the policy chooses. */
export function chosenBy(policy: Policy, among: readonly Candidate[], request = requestWith()): number {
  const picked = policy.pick(among, request);
  return typeof picked === "number" ? picked : picked.index;
}
