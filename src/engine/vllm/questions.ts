import type { JsonObject } from "../../protocol/json/json.ts";
import type * as Messages from "../../transport/grpc/generated/engine/vllm.ts";
import { lazy } from "../../util/lazy.ts";
import type { EngineQuestions } from "../engine.ts";
import { samplesOf } from "../exposition.ts";
import { loadsOf } from "../scheduler-loads.ts";
import { VLLM } from "./methods.ts";

/** vLLM's metrics, by the member of a load that they are. The share of the KV cache has the first of its two names in older versions. */
const MEMBERS: readonly (readonly [metric: string, member: string])[] = [
  ["vllm:num_requests_running", "num_running_reqs"],
  ["vllm:num_requests_waiting", "num_waiting_reqs"],
  ["vllm:gpu_cache_usage_perc", "token_usage"],
  ["vllm:kv_cache_usage_perc", "token_usage"],
];

const messages = lazy((): typeof Messages => require("../../transport/grpc/generated/engine/vllm.ts"));

/** vLLM has a method for each question, and pages for some. */
export const questions: EngineQuestions = {
  http: {
    generates: ["/health"],
    modelInfo: [],
    // These two exist in development mode only.
    serverInfo: ["/server_info"],
    flushCache: ["/reset_prefix_cache"],
    loads: [{ path: "/metrics", read: loadsIn }],
    profile: { start: "/start_profile", stop: "/stop_profile" },
  },
  grpc: {
    getTokenizer: VLLM.getTokenizer,
    flushCache: VLLM.flushCache,
    profile: { start: VLLM.startProfile, stop: VLLM.stopProfile },
    async loads(ask) {
      const request = messages().GetLoadsRequest.encode({ dpRank: undefined, include: [] }).finish();
      return loadsOf(messages().GetLoadsResponse.decode(await ask(VLLM.getLoads, request)));
    },
  },
};

/**
 * The load that vLLM's `/metrics` tells, in the members of SGLang's page, with an entry for each engine (data-parallel rank) behind the
 * address. `token_usage`: share of the KV cache, 0 to 1. Undefined where the page has none of it.
 */
export function loadsIn(page: string): JsonObject | undefined {
  const ranks = new Map<string, Record<string, number>>();
  for (const [metric, member] of MEMBERS) {
    for (const { labels, value } of samplesOf(page, metric)) {
      const engine = labels.get("engine") ?? "0";
      const rank = ranks.get(engine) ?? { dp_rank: Number(engine) };
      ranks.set(engine, rank);
      // A server of several models has a sample for each of them.
      rank[member] = member === "token_usage" ? Math.max(rank[member] ?? 0, value) : (rank[member] ?? 0) + value;
    }
  }
  return ranks.size === 0 ? undefined : { loads: [...ranks.values()] };
}
