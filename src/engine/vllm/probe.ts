import { type JsonObject, objectField } from "../../protocol/json/json.ts";
import type * as Messages from "../../transport/grpc/generated/engine/vllm.ts";
import { lazy } from "../../util/lazy.ts";
import type { KvTransferInfo } from "../../worker/worker.ts";
import type { EngineProbe, GrpcAsk, PageReader } from "../engine.ts";
import { samplesOf } from "../exposition.ts";
import { positive, saidCount, saidText, told } from "../said.ts";
import { VLLM } from "./methods.ts";

const messages = lazy((): typeof Messages => require("../../transport/grpc/generated/engine/vllm.ts"));

const NOTHING = new Uint8Array(0);
const NO_MEMBERS: JsonObject = {};

/**
 * vLLM prints its configuration only in development mode (`VLLM_SERVER_DEV_MODE=1`). For the first answer it inspects the whole
 * machine, which takes seconds.
 */
const CONFIGURATION = "/server_info?config_format=json";
const SLOW = { patience: 4 };

/** vLLM names itself in its list of models, and has a page `/version`. */
export const probe: EngineProbe = {
  owners: ["vllm"],
  isKnownBy: ({ version }) => Object.keys(version).length > 0,
  async askPages(_first, pages) {
    // A regular worker needs nothing from the configuration.
    const server = pages.workerType === "regular" ? NO_MEMBERS : await pages.fields(CONFIGURATION, SLOW);
    const metrics = await pages.text("/metrics");
    return {
      model: undefined,
      version: undefined,
      maxModelLen: undefined,
      kvCapacityTokens: capacityIn(metrics),
      startedAt: startIn(metrics),
      kv: await kvOf(server, pages),
      dataParallelSize: enginesIn(metrics),
    };
  },
  grpc: {
    isHealthy: async (ask) => messages().HealthCheckResponse.decode(await ask(VLLM.healthCheck, NOTHING)).healthy,
    async askFacts(ask) {
      const model = messages().GetModelInfoResponse.decode(await ask(VLLM.getModelInfo, NOTHING));
      const server = messages().GetServerInfoResponse.decode(await ask(VLLM.getServerInfo, NOTHING));
      return {
        model: told(model.servedModelName) ?? told(model.modelPath),
        version: undefined,
        maxModelLen: positive(model.maxContextLength),
        kvCapacityTokens: undefined,
        startedAt: startFor(server.uptimeSeconds),
        kv: grpcKvOf(server),
        dataParallelSize: positive(server.dataParallelSize),
      };
    },
    askCapacity: capacityByLoads,
  },
};

/**
 * Each data-parallel engine has a sample of its own. Newer ones say how many tokens their blocks hold; blocks times their size is more
 * than that where a model has several kinds of attention.
 */
function capacityIn(metrics: string): number | undefined {
  let tokens = 0;
  for (const { labels } of samplesOf(metrics, "vllm:cache_config_info")) {
    const size = Number(labels.get("block_size")) * Number(labels.get("num_gpu_blocks"));
    tokens += positive(Number(labels.get("kv_cache_size_tokens"))) ?? positive(size) ?? 0;
  }
  return positive(tokens);
}

/**
 * Each data-parallel rank that the server passes requests to is an engine of its own on the page. With hybrid load balancing those are the
 * ranks of its own node, and requests name them from 0 too.
 */
function enginesIn(metrics: string): number | undefined {
  const engines = new Set<string>();
  for (const metric of ["vllm:cache_config_info", "vllm:num_requests_running"]) {
    for (const { labels } of samplesOf(metrics, metric)) engines.add(labels.get("engine") ?? "");
  }
  engines.delete("");
  return positive(engines.size);
}

/** The page has the time of the process, unless several processes serve it. */
function startIn(metrics: string): number | undefined {
  const [sample] = samplesOf(metrics, "process_start_time_seconds");
  return sample && sample.value > 0 ? sample.value * 1000 : undefined;
}

/** The servicer tells the capacity of each data-parallel rank with its load. An older one has no such method. */
async function capacityByLoads(ask: GrpcAsk): Promise<number | undefined> {
  try {
    const request = messages().GetLoadsRequest.encode({ dpRank: undefined, include: [] }).finish();
    const { loads } = messages().GetLoadsResponse.decode(await ask(VLLM.getLoads, request));
    return positive(loads.reduce((sum, { maxTotalNumTokens }) => sum + maxTotalNumTokens, 0));
  } catch {
    return undefined;
  }
}

function grpcKvOf({
  kvConnector,
  kvEngineId,
  dataParallelSize,
}: Messages.GetServerInfoResponse): KvTransferInfo | undefined {
  if (kvConnector === "") return undefined;
  return {
    connector: kvConnector,
    engineId: told(kvEngineId),
    bootstrapPort: undefined,
    dataParallelSize: positive(dataParallelSize) ?? 1,
  };
}

/** `kv_transfer_config` names the connector, where the engine has one. */
async function kvOf(server: JsonObject, pages: PageReader): Promise<KvTransferInfo | undefined> {
  const config = objectField(server, "vllm_config") ?? NO_MEMBERS;
  const transfer = objectField(config, "kv_transfer_config") ?? objectField(server, "kv_transfer_config") ?? NO_MEMBERS;
  const connector = saidText(transfer, "kv_connector");
  if (connector === undefined) return undefined;
  const bootstrapPort = bootstrapPortOf(server, transfer, connector);
  return {
    connector,
    engineId: saidText(transfer, "engine_id") ?? (await mooncakeEngineId(pages, bootstrapPort)),
    bootstrapPort,
    dataParallelSize: saidCount(objectField(config, "parallel_config") ?? NO_MEMBERS, "data_parallel_size") ?? 1,
  };
}

function bootstrapPortOf(server: JsonObject, transfer: JsonObject, connector: string): number | undefined {
  const extra = objectField(transfer, "kv_connector_extra_config") ?? NO_MEMBERS;
  const port = saidCount(extra, "mooncake_bootstrap_port");
  // vLLM prints this variable for every connector.
  if (port !== undefined || !connector.startsWith("Mooncake")) return port;
  return saidCount(objectField(server, "vllm_env") ?? NO_MEMBERS, "VLLM_MOONCAKE_BOOTSTRAP_PORT");
}

/** Mooncake's bootstrap server lists its engines by data-parallel rank. */
async function mooncakeEngineId(pages: PageReader, port: number | undefined): Promise<string | undefined> {
  if (port === undefined) return undefined;
  const ranks = await pages.fields("/query", { origin: `http://${new URL(pages.url).hostname}:${port}` });
  return saidText(objectField(ranks, "0") ?? NO_MEMBERS, "engine_id");
}

/**
 * When a process began that runs for so long, Unix ms; undefined where it does not say. The gateway's own clock is the wall clock at its
 * start plus what has passed since: where somebody sets the wall clock, no engine looks as if it had begun anew.
 */
function startFor(uptimeSeconds: number): number | undefined {
  return uptimeSeconds > 0 ? performance.timeOrigin + performance.now() - uptimeSeconds * 1000 : undefined;
}
