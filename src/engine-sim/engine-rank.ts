import type { JsonObject } from "../protocol/json/json.ts";
import type { PrefixCache } from "./prefix-cache.ts";
import { errorReply } from "./reply.ts";
import type { Scheduler } from "./scheduler.ts";

/** One data-parallel rank of the engine: a cache and a scheduler of its own. */
export interface EngineRank {
  readonly cache: PrefixCache;
  /** Undefined: its tokens come at once. */
  readonly scheduler: Scheduler | undefined;
}

/** What a request says of the rank that must answer it, as vLLM and SGLang read it. */
export interface PinnedRequest {
  readonly kind: "vllm" | "sglang";
  readonly headers: Readonly<Record<string, string>>;
  readonly body: JsonObject;
}

/**
 * The rank that a request names, undefined where it names none; an answer where there is no such rank. vLLM reads the header, SGLang the
 * header and then the members of the body. An engine of one rank reads nothing.
 */
export function namedRank({ kind, headers, body }: PinnedRequest, ranks: number): number | Response | undefined {
  if (ranks === 1) return undefined;
  const header = headers["x-data-parallel-rank"];
  const member = kind === "sglang" ? (body["routed_dp_rank"] ?? body["data_parallel_rank"] ?? undefined) : undefined;
  const named = header === undefined ? member : Number(header);
  if (named === undefined) return undefined;
  if (typeof named === "number" && Number.isInteger(named) && named >= 0 && named < ranks) return named;
  return errorReply(
    400,
    "BadRequestError",
    `data_parallel_rank ${JSON.stringify(named)} is out of range [0, ${ranks})`,
  );
}
