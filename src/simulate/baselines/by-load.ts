import type { Baseline } from "./baseline.ts";
import { lowest } from "./lowest.ts";

/** Mitzenmacher 2001: of two random workers the one with fewer requests; vllm-router, smg. */
export const p2c: Baseline = {
  name: "p2c",
  source: "Mitzenmacher 2001; vllm-router and smg power_of_two",
  chooses: "of two random workers the one with fewer requests in flight",
  create: ({ random }) => ({
    name: "p2c",
    pick(candidates) {
      const one = Math.floor(random() * candidates.length);
      const step = 1 + Math.floor(random() * (candidates.length - 1));
      const other = candidates.length === 1 ? one : (one + step) % candidates.length;
      return (candidates[other]?.inFlight ?? 0) < (candidates[one]?.inFlight ?? 0) ? other : one;
    },
  }),
};

/** Fewest requests in flight; equals by lot. */
export const leastRequests: Baseline = {
  name: "least_requests",
  source: "Envoy least_request over all hosts; LiteLLM least-busy",
  chooses: "the worker with the fewest requests in flight",
  create: ({ random }) => ({
    name: "least_requests",
    pick: (candidates) => lowest(candidates.length, (index) => candidates[index]?.inFlight ?? Number.NaN, random),
  }),
};

/** Least prompt tokens that are not prefilled yet, without knowledge of prefixes; equals by lot. */
export const tokens: Baseline = {
  name: "tokens",
  source: "smg least_load and dp_min_token, by what the gateway itself has sent",
  chooses: "the worker with the fewest prompt tokens that are not prefilled yet",
  create: ({ random }) => ({
    name: "tokens",
    pick: (candidates) =>
      lowest(candidates.length, (index) => candidates[index]?.pendingPromptTokens ?? Number.NaN, random),
  }),
};
