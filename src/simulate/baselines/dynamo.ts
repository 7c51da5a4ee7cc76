import type { Candidate, Policy, PolicyParts } from "../../policy/policy.ts";
import type { Baseline } from "./baseline.ts";
import { lowest } from "./lowest.ts";
import { SeenPrefixes } from "./seen-prefixes.ts";

/** Tokens of a KV block. */
const BLOCK = 16;

/**
 * `prefill = pending prefill blocks + prompt blocks - hits`, `decode = blocks of the requests in flight`, both counted by the router: the
 * prompt without its hits is pending until the first token. The lowest cost wins, at temperature 0.
 */
function create(
  name: string,
  { random }: PolicyParts,
  costOf: (prefillBlocks: number, candidate: Candidate) => number,
): Policy {
  const seen = new SeenPrefixes();
  return {
    name,
    pick(candidates, request) {
      const prompt = request.promptBlocks();
      const uncached = candidates.map(({ slot }) => Math.max(0, request.promptTokens - seen.tokens(slot, prompt)));
      const index = lowest(
        candidates.length,
        (one) => {
          const candidate = candidates[one];
          if (!candidate) return Number.NaN;
          return costOf((candidate.pendingPromptTokens + (uncached[one] ?? 0)) / BLOCK, candidate);
        },
        random,
      );
      const worker = candidates[index];
      if (worker) seen.insert(worker, prompt);
      return { index, chargeTokens: Math.round(uncached[index] ?? 0) };
    },
    forget: (_workerId, slot) => seen.forget(slot),
  };
}

/** NVIDIA Dynamo's KV router with its default weights. */
export const dynamo: Baseline = {
  name: "dynamo",
  source: "NVIDIA Dynamo 1.x KV router: overlap weight 1, temperature 0",
  chooses: "the lowest sum of prefill blocks and blocks of the requests in flight",
  create: (parts) => create("dynamo", parts, (prefill, { contextTokens }) => prefill + contextTokens / BLOCK),
};

/** Its multiplicative variant, which is also the score of LMetric (OSDI 2026). */
export const dynamoLmetric: Baseline = {
  name: "dynamo_lmetric",
  source: "LMetric, arXiv 2603.15202; also a variant of Dynamo's cost",
  chooses: "the lowest product of prefill backlog and requests that decode, plus one",
  create: (parts) => create("dynamo_lmetric", parts, (prefill, { decoding }) => prefill * (decoding + 1)),
};
