import { z } from "zod";

/** How much more load than the least loaded worker one may have and still be chosen for something else than its load. */
export const LOAD_BOUND_OPTIONS = {
  balanceAbsThreshold: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(64)
    .meta({
      description:
        "a worker may have this many requests more in flight than the least loaded one and still be chosen for its cache or its range of lengths.",
      aliases: ["--spill-abs-threshold"],
    }),
  balanceRelThreshold: z
    .number()
    .min(1)
    .max(1000)
    .default(1.5)
    .meta({
      description: "a worker may also have this many times as many requests in flight as the least loaded one.",
      aliases: ["--spill-rel-threshold"],
    }),
};

/** Most requests that a worker may have in flight, where the least loaded one has `least`. */
export function mostInFlight(
  {
    balanceAbsThreshold,
    balanceRelThreshold,
  }: { readonly balanceAbsThreshold: number; readonly balanceRelThreshold: number },
  least: number,
): number {
  return Math.max(least + balanceAbsThreshold, least * balanceRelThreshold);
}
