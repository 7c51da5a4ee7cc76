import { isJsonObject, type JsonObject, stringField } from "../protocol/json/json.ts";
import { countTokens } from "./text.ts";
import type { EngineRank } from "./engine-rank.ts";
import { nowSecs } from "./reply.ts";

interface InfoFacts {
  readonly models: readonly string[];
  readonly kind: "vllm" | "sglang";
  readonly maxModelLen: number;
  readonly ranks: readonly EngineRank[];
  /** Tokens that the cache of each rank holds. */
  readonly kvTokens: number;
  /** Wall-clock time at which the engine began, ms since the epoch. */
  readonly startedAt: number;
  /** Pages and facts that only one half of a prefill/decode pair has. */
  readonly role?: RoleInfo;
}

export interface RoleInfo {
  readonly routes: InfoRoutes;
  /** Server arguments, as SGLang's `/server_info` has them. */
  readonly serverArgs: JsonObject;
  /** Counters: name and value. */
  counters(): readonly (readonly [name: string, value: number])[];
}

type InfoRoutes = Readonly<Record<string, (request: Request) => Response | Promise<Response>>>;

const VERSION = "0.1.0-sim";

/** Pages on which an engine tells of itself, by path: those of vLLM and SGLang in common, and those of its kind. */
export function infoRoutes(facts: InfoFacts): InfoRoutes {
  const [model = ""] = facts.models;
  const common: InfoRoutes = {
    "/health": () => new Response("OK"),
    "/v1/models": () =>
      Response.json({
        object: "list",
        data: facts.models.map((id) => ({
          id,
          object: "model",
          created: nowSecs(),
          owned_by: facts.kind,
          root: id,
          max_model_len: facts.maxModelLen,
        })),
      }),
    "/metrics": () => new Response(metrics(facts, model), { headers: { "content-type": "text/plain; version=0.0.4" } }),
    "/tokenize": async (request) => {
      const body: unknown = await request.json();
      const count = countTokens(Buffer.from(isJsonObject(body) ? (stringField(body, "prompt") ?? "") : ""));
      return Response.json({
        tokens: Array.from({ length: count }, (_, index) => index),
        count,
        max_model_len: facts.maxModelLen,
      });
    },
  };
  const own = facts.kind === "vllm" ? vllmRoutes(facts) : sglangRoutes(facts, model);
  return { ...common, ...own, ...facts.role?.routes };
}

function clearCaches({ ranks }: InfoFacts): void {
  for (const { cache } of ranks) cache.clear();
}

function vllmRoutes(facts: InfoFacts): InfoRoutes {
  return {
    "/version": () => Response.json({ version: VERSION }),
    "/reset_prefix_cache": () => {
      clearCaches(facts);
      return new Response("");
    },
  };
}

function sglangRoutes(facts: InfoFacts, model: string): InfoRoutes {
  const modelInfo = (): Response => Response.json({ model_path: model, tokenizer_path: model, is_generation: true });
  const serverInfo = (): Response =>
    Response.json({
      model_path: model,
      served_model_name: model,
      version: VERSION,
      context_length: facts.maxModelLen,
      max_total_num_tokens: facts.kvTokens,
      dp_size: facts.ranks.length,
      api_key: "engine-secret",
      host: "127.0.0.1",
      ...facts.role?.serverArgs,
    });
  return {
    "/health_generate": () => new Response("OK"),
    "/get_model_info": modelInfo,
    "/model_info": modelInfo,
    "/get_server_info": serverInfo,
    "/server_info": serverInfo,
    "/flush_cache": () => {
      clearCaches(facts);
      return new Response("Cache flushed.\n");
    },
    "/get_load": () =>
      Response.json(
        facts.ranks.map((rank, index) => ({
          dp_rank: index,
          num_reqs: runningAt(rank) + waitingAt(rank),
          num_waiting_reqs: waitingAt(rank),
          num_tokens: heldAt(rank),
        })),
      ),
  };
}

const runningAt = ({ scheduler }: EngineRank): number => scheduler?.running ?? 0;
const waitingAt = ({ scheduler }: EngineRank): number => scheduler?.waiting ?? 0;
/** Tokens in its KV cache that running requests take. */
const heldAt = ({ scheduler }: EngineRank): number => scheduler?.heldTokens ?? 0;

type Gauge = readonly [name: string, valueOf: (rank: EngineRank) => number];

const SGLANG_GAUGES: readonly Gauge[] = [
  ["sglang:num_running_reqs", runningAt],
  ["sglang:num_queue_reqs", waitingAt],
  ["sglang:num_used_tokens", ({ cache }) => cache.tokens],
];

function vllmGauges(kvTokens: number): readonly Gauge[] {
  return [
    ["vllm:num_requests_running", runningAt],
    ["vllm:num_requests_waiting", waitingAt],
    ["vllm:kv_cache_usage_perc", (rank) => Math.min(1, heldAt(rank) / kvTokens)],
    ["vllm:kv_cache_tokens", ({ cache }) => cache.tokens],
  ];
}

function metrics({ kind, ranks, role, kvTokens, startedAt }: InfoFacts, model: string): string {
  const rankLabel = kind === "vllm" ? "engine" : "dp_rank";
  const gauges = (kind === "vllm" ? vllmGauges(kvTokens) : SGLANG_GAUGES).map(([name, valueOf]) => {
    const samples = ranks.map(
      (rank, index) => `${name}{${rankLabel}="${index}",model_name="${model}"} ${valueOf(rank)}\n`,
    );
    return `# TYPE ${name} gauge\n${samples.join("")}`;
  });
  const blocks = Math.floor(kvTokens / 16);
  const facts = [
    "# TYPE process_start_time_seconds gauge",
    `process_start_time_seconds ${startedAt / 1000}`,
    "# TYPE vllm:cache_config_info gauge",
    ...ranks.map(
      (_, rank) => `vllm:cache_config_info{block_size="16",engine="${rank}",num_gpu_blocks="${blocks}"} 1.0`,
    ),
    "",
  ];
  const counters = (role?.counters() ?? []).map(
    ([name, value]) => `# TYPE ${name} counter\n${name}{model_name="${model}"} ${value}\n`,
  );
  return [...gauges, ...counters, kind === "vllm" ? facts.join("\n") : ""].join("");
}
