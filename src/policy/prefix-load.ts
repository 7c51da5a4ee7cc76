import { z } from "zod";
import type { Candidate } from "./policy.ts";
import type { LeastLoaded } from "./least-loaded.ts";

/** How much load a worker may have and still get the prompts whose beginning belongs to it. */
export const PREFIX_LOAD_OPTIONS = {
  prefixHashLoadFactor: z.number().min(1).max(100).default(1.25).meta({
    description: "a worker gets no more of its own prompts when it has this many times the mean of requests in flight.",
  }),
  prefixHashBalanceAbsThreshold: z.int().min(0).max(1_000_000).default(10).meta({
    description:
      "a worker gets its own prompts in any case while it has at most this many requests more in flight than the mean.",
  }),
};

export interface PrefixLoadOptions {
  readonly prefixHashLoadFactor: number;
  readonly prefixHashBalanceAbsThreshold: number;
}

/** The requests in flight that a worker may have and still get its own prompts. The mean includes the request that is to be sent. */
export function mostForPrefix(
  { prefixHashLoadFactor, prefixHashBalanceAbsThreshold }: PrefixLoadOptions,
  loads: LeastLoaded,
  candidates: readonly Candidate[],
): number {
  const mean = loads.mean(candidates) + 1 / candidates.length;
  return Math.max(mean * prefixHashLoadFactor, mean + prefixHashBalanceAbsThreshold);
}
