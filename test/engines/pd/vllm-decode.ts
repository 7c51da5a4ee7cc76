import { type Leg, type PdContext, planned } from "./pd-protocol.ts";

/** A decode leg at vLLM whose prompt is computed here. */
export function ownPrefill({ record }: PdContext): Leg {
  record.recomputed += 1;
  return {
    run: (run) =>
      planned(run, (plan) => {
        record.kvQueries += plan.promptTokens - plan.cachedTokens;
        return plan;
      }),
  };
}

/** A decode leg at vLLM on KV from elsewhere: what it has not in its own cache. It reports all of the prompt as cached. */
export function movedRun({ record }: PdContext): Leg {
  record.kvTransfers += 1;
  return {
    run: (run) =>
      planned(run, (plan) => {
        const moved = plan.promptTokens - plan.cachedTokens;
        record.kvQueries += moved;
        record.kvTokens += moved;
        return { ...plan, movedTokens: plan.promptTokens, cachedTokens: plan.promptTokens };
      }),
  };
}
