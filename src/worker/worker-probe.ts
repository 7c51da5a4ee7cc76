import type { Secret } from "../util/secret.ts";
import { isRecord } from "../util/objects.ts";
import type { KvTransferInfo, WorkerInfo, WorkerType } from "./worker.ts";

/** Answers a question to a worker, or undefined where there is no JSON to be had. Never throws. */
export type FetchJson = (url: string, apiKey: Secret | undefined, timeoutMs: number) => Promise<unknown>;

/** Ids that one worker may list. */
const MAX_MODELS = 1000;
/** Longest id or version that is believed, characters. */
const MAX_TEXT = 512;

export interface ProbeTarget {
  readonly url: string;
  readonly apiKey: Secret | undefined;
  readonly timeoutMs: number;
  /** Prefill and decode workers are asked how their KV cache moves. */
  readonly workerType: WorkerType;
  /** What the model is taken to be where the worker does not say (`--model-path`). */
  readonly modelFallback: string | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Asks a worker what it is. Sources: `/v1/models` (any OpenAI-compatible server; `owned_by` tells vLLM and SGLang, `max_model_len` is
 * theirs), `/get_model_info` and `/server_info` (SGLang, old and new names), `/version` (vLLM). Whatever fails or
 * answers nonsense is left out.
 */
export async function askWorker(target: ProbeTarget, fetchJson: FetchJson): Promise<WorkerInfo> {
  const ask = async (path: string, timeoutMs = target.timeoutMs): Promise<Fields> =>
    fields(await fetchJson(`${target.url}${path}`, target.apiKey, timeoutMs));
  const [listing, model, version] = await Promise.all([
    ask("/v1/models"),
    firstKnown(ask, ["/get_model_info", "/model_info"]),
    ask("/version"),
  ]);
  const cards = Array.isArray(listing["data"]) ? listing["data"].map(fields) : [];
  const engine = engineOf(cards[0] ?? {}, model, version);
  const server = await askServer(ask, target, engine);
  const listed = cards.map((card) => text(card["id"])).filter((id) => id !== undefined);
  const named = text(server["served_model_name"]) ?? text(model["served_model_name"]) ?? text(model["model_path"]);
  const fallback = named ?? target.modelFallback;
  return {
    models: listed.length > 0 ? [...new Set(listed)].slice(0, MAX_MODELS) : fallback === undefined ? [] : [fallback],
    engine,
    engineVersion: text(server["version"]) ?? text(version["version"]),
    maxModelLen: positive(cards[0]?.["max_model_len"]) ?? positive(server["context_length"]),
    kv: await kvTransferOf(target, server, fetchJson),
  };
}

/**
 * How it hands its KV cache over. SGLang says so among its arguments; vLLM prints its configuration, in development mode
 * only (`VLLM_SERVER_DEV_MODE=1`), where `kv_transfer_config` names the connector.
 */
async function kvTransferOf(
  { url, apiKey, timeoutMs }: ProbeTarget,
  server: Fields,
  fetchJson: FetchJson,
): Promise<KvTransferInfo | undefined> {
  const mode = text(server["disaggregation_mode"]);
  if (mode !== undefined && mode !== "null") {
    return {
      connector: "sglang",
      engineId: undefined,
      bootstrapPort: positive(server["disaggregation_bootstrap_port"]),
      dataParallelSize: positive(server["dp_size"]) ?? 1,
    };
  }
  const config = fields(server["vllm_config"]);
  const transfer = fields(config["kv_transfer_config"] ?? server["kv_transfer_config"]);
  const connector = text(transfer["kv_connector"]);
  if (connector === undefined) return undefined;
  const extra = fields(transfer["kv_connector_extra_config"]);
  const bootstrapPort =
    positive(extra["mooncake_bootstrap_port"]) ??
    // vLLM prints it for whatever connector it has.
    (connector.startsWith("Mooncake")
      ? positive(fields(server["vllm_env"])["VLLM_MOONCAKE_BOOTSTRAP_PORT"])
      : undefined);
  const parallel = fields(config["parallel_config"]);
  return {
    connector,
    engineId: text(transfer["engine_id"]) ?? (await mooncakeEngineId(url, bootstrapPort, apiKey, timeoutMs, fetchJson)),
    bootstrapPort,
    dataParallelSize: positive(parallel["data_parallel_size"]) ?? 1,
  };
}

/** Mooncake's bootstrap server lists its engines by data-parallel rank. */
async function mooncakeEngineId(
  url: string,
  port: number | undefined,
  apiKey: Secret | undefined,
  timeoutMs: number,
  fetchJson: FetchJson,
): Promise<string | undefined> {
  if (port === undefined) return undefined;
  const ranks = fields(await fetchJson(`http://${new URL(url).hostname}:${port}/query`, apiKey, timeoutMs));
  return text(fields(ranks["0"])["engine_id"]);
}

type Ask = (path: string, timeoutMs?: number) => Promise<Fields>;

/**
 * What the server says of its arguments. vLLM answers in development mode only, looks at the whole machine for seconds
 * before it does so for the first time, and says nothing there that a regular worker is asked for.
 */
async function askServer(ask: Ask, target: ProbeTarget, engine: string | undefined): Promise<Fields> {
  if (engine !== "vllm") return firstKnown(ask, ["/server_info", "/get_server_info"]);
  if (target.workerType === "regular") return {};
  return ask("/server_info?config_format=json", target.timeoutMs * SLOW_ANSWER);
}

/** Times as long as another answer may take. */
const SLOW_ANSWER = 4;

async function firstKnown(ask: Ask, paths: readonly string[]): Promise<Fields> {
  for (const path of paths) {
    const answer = await ask(path);
    if (Object.keys(answer).length > 0) return answer;
  }
  return {};
}

function engineOf(card: Fields, model: Fields, version: Fields): string | undefined {
  const owner = text(card["owned_by"]);
  if (owner !== undefined && owner !== "") return owner;
  if (Object.keys(model).length > 0) return "sglang";
  return Object.keys(version).length > 0 ? "vllm" : undefined;
}

function fields(value: unknown): Fields {
  return isRecord(value) ? value : {};
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" && value.length <= MAX_TEXT ? value : undefined;
}

function positive(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : undefined;
}
