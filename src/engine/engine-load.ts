import { isJsonObject, type JsonObject, numberField } from "../protocol/json/json.ts";

/** What an engine says of its load, all of its data-parallel ranks together. */
export interface EngineLoad {
  /** Requests that it computes. */
  readonly running: number;
  /** Requests that wait within it. */
  readonly waiting: number;
  /** Share of its KV cache that running requests take, 0 to 1, the mean of the ranks. Undefined where it does not say. */
  readonly kvUsage: number | undefined;
}

/**
 * Reads the members of SGLang's `/v1/loads` and `/get_load`. `kvCapacityTokens`: what the caches of all ranks hold, where it is known;
 * older servers say only how many tokens are taken. Undefined where the report does not count requests.
 */
export function engineLoadOf(report: JsonObject, kvCapacityTokens: number | undefined): EngineLoad | undefined {
  const listed = report["loads"];
  const ranks = Array.isArray(listed) ? listed.filter(isJsonObject) : [];
  if (ranks.length === 0) return undefined;
  let running = 0;
  let waiting = 0;
  for (const rank of ranks) {
    const waits = amount(rank, "num_waiting_reqs");
    const runs = amount(rank, "num_running_reqs") ?? difference(amount(rank, "num_reqs"), waits);
    if (waits === undefined || runs === undefined) return undefined;
    running += runs;
    waiting += waits;
  }
  return { running, waiting, kvUsage: usageOf(ranks, kvCapacityTokens) };
}

function usageOf(ranks: readonly JsonObject[], kvCapacityTokens: number | undefined): number | undefined {
  const shares = ranks.map((rank) => amount(rank, "token_usage"));
  const known = shares.filter((share) => share !== undefined);
  if (known.length === ranks.length) return known.reduce((sum, share) => sum + share, 0) / ranks.length;
  if (kvCapacityTokens === undefined) return undefined;
  let tokens = 0;
  for (const rank of ranks) {
    const taken = amount(rank, "num_used_tokens") ?? amount(rank, "num_tokens");
    if (taken === undefined) return undefined;
    tokens += taken;
  }
  return tokens / kvCapacityTokens;
}

function difference(all: number | undefined, part: number | undefined): number | undefined {
  return all === undefined || part === undefined ? undefined : Math.max(0, all - part);
}

/** A number that is no less than nothing. */
function amount(rank: JsonObject, member: string): number | undefined {
  const value = numberField(rank, member);
  return value !== undefined && value >= 0 ? value : undefined;
}
