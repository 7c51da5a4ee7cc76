import { isJsonObject, type JsonObject, stringField } from "../protocol/json/json.ts";
import { countTokens } from "./text.ts";
import type { PrefixCache } from "./prefix-cache.ts";
import { nowSecs } from "./reply.ts";

interface InfoFacts {
  readonly models: readonly string[];
  readonly kind: "vllm" | "sglang";
  readonly maxModelLen: number;
  readonly cache: PrefixCache;
  /** Tokens that the cache holds. */
  readonly kvTokens: number;
  /** Wall-clock time at which the engine began, ms since the epoch. */
  readonly startedAt: number;
  readonly running: () => number;
  readonly waiting: () => number;
  /** Tokens in its KV cache that running requests take. */
  readonly heldTokens: () => number;
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

function vllmRoutes({ cache }: InfoFacts): InfoRoutes {
  return {
    "/version": () => Response.json({ version: VERSION }),
    "/reset_prefix_cache": () => {
      cache.clear();
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
      facts.cache.clear();
      return new Response("Cache flushed.\n");
    },
    "/get_load": () =>
      Response.json([
        {
          dp_rank: 0,
          num_reqs: facts.running() + facts.waiting(),
          num_waiting_reqs: facts.waiting(),
          num_tokens: facts.heldTokens(),
        },
      ]),
  };
}

function metrics(
  { kind, running, waiting, heldTokens, cache, role, kvTokens, startedAt }: InfoFacts,
  model: string,
): string {
  const labels = `{model_name="${model}"}`;
  const rows =
    kind === "vllm"
      ? [
          ["vllm:num_requests_running", running()],
          ["vllm:num_requests_waiting", waiting()],
          ["vllm:kv_cache_usage_perc", Math.min(1, heldTokens() / kvTokens)],
          ["vllm:kv_cache_tokens", cache.tokens],
        ]
      : [
          ["sglang:num_running_reqs", running()],
          ["sglang:num_queue_reqs", waiting()],
          ["sglang:num_used_tokens", cache.tokens],
        ];
  const page = (type: string) => (row: readonly (string | number)[]) =>
    `# TYPE ${row[0]} ${type}\n${row[0]}${labels} ${row[1]}\n`;
  const facts = [
    "# TYPE process_start_time_seconds gauge",
    `process_start_time_seconds ${startedAt / 1000}`,
    "# TYPE vllm:cache_config_info gauge",
    `vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="${Math.floor(kvTokens / 16)}"} 1.0`,
    "",
  ];
  return [
    ...rows.map(page("gauge")),
    ...(role?.counters() ?? []).map(page("counter")),
    kind === "vllm" ? facts.join("\n") : "",
  ].join("");
}
