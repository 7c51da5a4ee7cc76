import type { RoleInfo } from "../../../src/engine-sim/info-routes.ts";
import type { PdContext } from "./pd-protocol.ts";
import type { PdDialect, PdSide } from "./pd-options.ts";

const CONNECTORS: Readonly<Record<PdDialect, string | undefined>> = {
  sglang: undefined,
  nixl: "NixlConnector",
  mooncake: "MooncakeConnector",
  p2p_nccl: "P2pNcclConnector",
  passthrough: "ThirdPartyConnector",
};

export interface InfoSource {
  readonly context: PdContext;
  readonly side: PdSide;
  readonly isDevMode: boolean;
  readonly loadBalanceMethod: string;
  /** Generations that have begun and not ended. */
  readonly running: () => number;
}

/**
 * What an engine of a pair says of its part in it. The names are those of vLLM 0.32 and of SGLang's `ServerArgs` and
 * `/v1/loads`; pages are cut down to what a gateway reads. vLLM's text form is a line of its own here.
 */
export function pdInfo(source: InfoSource): RoleInfo {
  return source.context.dialect === "sglang" ? sglangInfo(source) : vllmInfo(source);
}

function sglangInfo({ context, side, loadBalanceMethod, running }: InfoSource): RoleInfo {
  const load = (rank: number): object => ({
    dp_rank: rank,
    num_running_reqs: rank === 0 ? running() : 0,
    num_waiting_reqs: 0,
    num_waiting_uncached_tokens: 0,
    num_used_tokens: rank === 0 ? context.store.heldTokens : 0,
    num_total_tokens: rank === 0 ? context.store.heldTokens : 0,
    max_total_num_tokens: 524_288,
    max_running_requests: 256,
    token_usage: 0,
    gen_throughput: 0,
    cache_hit_rate: 0,
    utilization: 0,
    disaggregation: {
      mode: side,
      prefill_bootstrap_queue_reqs: 0,
      prefill_inflight_queue_reqs: side === "prefill" && rank === 0 ? running() : 0,
      decode_prealloc_queue_reqs: 0,
      decode_transfer_queue_reqs: 0,
      decode_retracted_queue_reqs: 0,
      kv_transfer_speed_gb_s: 0,
      kv_transfer_latency_ms: 0,
    },
  });
  return {
    get serverArgs() {
      return {
        tp_size: 1,
        dp_size: context.dpSize,
        load_balance_method: loadBalanceMethod,
        disaggregation_mode: side,
        disaggregation_transfer_backend: "mooncake",
        // A decode engine has the argument too, and does not listen on it.
        disaggregation_bootstrap_port: side === "prefill" ? portOf(context) : 8998,
        disaggregation_ib_device: null,
        internal_states: [{ last_gen_throughput: 0 }],
      };
    },
    routes: {
      "/v1/loads": () =>
        Response.json({
          timestamp: Date.now() / 1000,
          version: "0.1.0-sim",
          loads: Array.from({ length: context.dpSize }, (_, rank) => load(rank)),
        }),
    },
    counters: () => [],
  };
}

function vllmInfo(source: InfoSource): RoleInfo {
  const { context, side, isDevMode } = source;
  const { record } = context;
  const own = (name: string, value: number): readonly [string, number][] =>
    context.dialect === "nixl" ? [[name, value]] : [];
  return {
    serverArgs: {},
    routes: isDevMode ? { "/server_info": (request) => serverInfo(source, request) } : {},
    counters: () =>
      side === "prefill"
        ? own("vllm:nixl_num_kv_expired_reqs_total", record.kvExpired)
        : [
            ["vllm:external_prefix_cache_queries_total", record.kvQueries],
            ["vllm:external_prefix_cache_hits_total", record.kvTokens],
            ...own("vllm:nixl_xfer_time_seconds_count", record.kvTransfers),
          ],
  };
}

/** vLLM's configuration as a text or, with `config_format=json`, as an object; the environment beside it. */
function serverInfo({ context, side }: InfoSource, request: Request): Response {
  const { dialect, dpSize, engineId } = context;
  const isPushed = dialect === "p2p_nccl";
  const config = {
    parallel_config: { tensor_parallel_size: 1, pipeline_parallel_size: 1, data_parallel_size: dpSize },
    kv_transfer_config: {
      kv_connector: CONNECTORS[dialect],
      engine_id: engineId,
      kv_buffer_device: "cpu",
      kv_buffer_size: 1e9,
      kv_role: side === "prefill" ? "kv_producer" : "kv_consumer",
      kv_rank: null,
      kv_parallel_size: 1,
      kv_ip: "127.0.0.1",
      kv_port: isPushed ? portOf(context) : 14_579,
      kv_connector_extra_config: {},
      kv_connector_module_path: null,
      kv_load_failure_policy: "fail",
    },
  };
  const isJson = new URL(request.url).searchParams.get("config_format") === "json";
  return Response.json({
    vllm_config: isJson ? config : `kv_transfer_config=KVTransferConfig(kv_connector='${CONNECTORS[dialect]}')`,
    vllm_env: {
      VLLM_SERVER_DEV_MODE: true,
      ...(dialect === "nixl" ? { VLLM_NIXL_SIDE_CHANNEL_HOST: "127.0.0.1" } : {}),
      ...(dialect === "nixl" ? { VLLM_NIXL_SIDE_CHANNEL_PORT: portOf(context) } : {}),
      VLLM_MOONCAKE_BOOTSTRAP_PORT: dialect === "mooncake" && side === "prefill" ? portOf(context) : 8998,
    },
    system_env: {},
  });
}

function portOf(context: PdContext): number {
  return Number(context.address().split(":")[1]);
}
