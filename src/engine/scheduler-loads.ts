import type { JsonObject } from "../protocol/json/json.ts";

/** The load of one data-parallel rank, in the members that SGLang's and vLLM's services share. */
interface SchedulerLoad {
  readonly dpRank: number;
  readonly numRunningReqs: number;
  readonly numWaitingReqs: number;
  readonly numUsedTokens: number;
  readonly maxTotalNumTokens: number;
  readonly tokenUsage: number;
}

/** An answer to GetLoads as JSON, with the members that SGLang's own page has. */
export function loadsOf({ loads }: { readonly loads: readonly SchedulerLoad[] }): JsonObject {
  return {
    loads: loads.map((load) => ({
      dp_rank: load.dpRank,
      num_running_reqs: load.numRunningReqs,
      num_waiting_reqs: load.numWaitingReqs,
      num_used_tokens: load.numUsedTokens,
      max_total_num_tokens: load.maxTotalNumTokens,
      token_usage: load.tokenUsage,
    })),
  };
}
