import { z } from "zod";
import type { Candidate } from "./policy.ts";
import type { LeastLoaded } from "./least-loaded.ts";

/**
 * Options of the policies that choose by the beginning of the prompt: how long that is, and how much load a worker may have and still get
 * the prompts whose beginning belongs to it.
 */
export const PREFIX_OPTIONS = z.strictObject({
  prefixTokenCount: z.int().min(16).max(65_536).default(256).meta({
    description:
      "prompts that are equal up to here belong together, tokens. Of text, 4 bytes are counted as a token. Should be longer than the system prompt that all share, and no longer than what the turns of one conversation share.",
  }),
  prefixHashLoadFactor: z.number().min(1).max(100).default(1.25).meta({
    description: "a worker gets no more of its own prompts when it has this many times the mean of requests in flight.",
  }),
  prefixHashBalanceAbsThreshold: z.int().min(0).max(1_000_000).default(10).meta({
    description:
      "a worker gets its own prompts in any case while it has at most this many requests more in flight than the mean.",
  }),
});

export type PrefixOptions = z.output<typeof PREFIX_OPTIONS>;

/** The requests in flight that a worker may have and still get its own prompts. The mean includes the request that is to be sent. */
export function mostForPrefix(
  { prefixHashLoadFactor, prefixHashBalanceAbsThreshold }: PrefixOptions,
  loads: LeastLoaded,
  candidates: readonly Candidate[],
): number {
  const mean = loads.mean(candidates) + 1 / candidates.length;
  return Math.max(mean * prefixHashLoadFactor, mean + prefixHashBalanceAbsThreshold);
}
