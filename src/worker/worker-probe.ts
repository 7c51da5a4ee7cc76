import type { Secret } from "../util/secret.ts";
import { isRecord } from "../util/objects.ts";
import type { Page, ProbeClient } from "./probe-client.ts";
import type { WorkerFacts } from "./prober.ts";
import type { KvTransferInfo, ModelCard, WorkerInfo } from "./worker.ts";
import type { WorkerType } from "../util/worker-type.ts";

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
 * theirs), `/get_model_info` and `/server_info` (SGLang, old and new names), `/version` (vLLM). A page that is not there, or
 * is nonsense, says nothing; one that could not be asked leaves open what it says.
 */
export async function askWorker(target: ProbeTarget, client: ProbeClient): Promise<WorkerFacts> {
  const page = pagesOf(target, client);
  const ask: Ask = async (path, timeoutMs) => fieldsOf(await page(path, timeoutMs));
  const [models, model, version] = await Promise.all([
    page(MODELS_PATH),
    firstKnown(ask, ["/get_model_info", "/model_info"]),
    ask("/version"),
  ]);
  const cards = cardsOf(models);
  const engine = engineOf(ownerOf(models), model, version);
  const server = await askServer(ask, target, engine);
  const named = text(server["served_model_name"]) ?? text(model["served_model_name"]) ?? text(model["model_path"]);
  const fallback = named ?? target.modelFallback;
  const [first] = cards;
  const info: WorkerInfo = {
    models: first ? cards.map(({ id }) => id) : fallback === undefined ? [] : [fallback],
    cards,
    engine,
    engineVersion: text(server["version"]) ?? text(version["version"]),
    maxModelLen: first?.maxModelLen ?? positive(server["context_length"]),
    kv: await kvTransferOf(target, server, client),
  };
  return { info, listing: listingIn(models), missing: models.kind === "failed" ? models.failure : undefined };
}

const MODELS_PATH = "/v1/models";

/** What the worker lists now, as one text; undefined where that cannot be had. */
export async function listingOf(
  target: Pick<ProbeTarget, "url" | "apiKey" | "timeoutMs">,
  client: ProbeClient,
): Promise<string | undefined> {
  return listingIn(await pagesOf(target, client)(MODELS_PATH));
}

function listingIn(models: Page): string | undefined {
  if (models.kind === "failed") return undefined;
  // `created` is the time of the question with vLLM, and so is no part of it.
  return JSON.stringify(cardsOf(models).map(({ id, maxModelLen, root, parent }) => [id, maxModelLen, root, parent]));
}

/** A question for one page of the worker. */
type AskPage = (path: string, timeoutMs?: number) => Promise<Page>;

function pagesOf(
  { url, apiKey, timeoutMs }: Pick<ProbeTarget, "url" | "apiKey" | "timeoutMs">,
  client: ProbeClient,
): AskPage {
  return (path, ownTimeoutMs = timeoutMs) => client.page({ origin: url, path, apiKey, timeoutMs: ownTimeoutMs });
}

/** The models that a page lists, each once. */
function cardsOf(models: Page): readonly ModelCard[] {
  const { data } = fieldsOf(models);
  const byId = new Map<string, ModelCard>();
  for (const card of Array.isArray(data) ? data.map(fields) : []) {
    const id = text(card["id"]);
    if (id === undefined || byId.has(id) || byId.size >= MAX_MODELS) continue;
    byId.set(id, {
      id,
      maxModelLen: positive(card["max_model_len"]),
      created: positive(card["created"]),
      root: text(card["root"]),
      parent: text(card["parent"]),
    });
  }
  return [...byId.values()];
}

function ownerOf(models: Page): string | undefined {
  const { data } = fieldsOf(models);
  return Array.isArray(data) ? text(fields(data[0])["owned_by"]) : undefined;
}

function fieldsOf(page: Page): Fields {
  return page.kind === "json" ? fields(page.value) : {};
}

/**
 * How it hands its KV cache over. SGLang says so among its arguments; vLLM prints its configuration, in development mode
 * only (`VLLM_SERVER_DEV_MODE=1`), where `kv_transfer_config` names the connector.
 */
async function kvTransferOf(
  target: ProbeTarget,
  server: Fields,
  client: ProbeClient,
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
    engineId: text(transfer["engine_id"]) ?? (await mooncakeEngineId(target, bootstrapPort, client)),
    bootstrapPort,
    dataParallelSize: positive(parallel["data_parallel_size"]) ?? 1,
  };
}

/** Mooncake's bootstrap server lists its engines by data-parallel rank. */
async function mooncakeEngineId(
  { url, apiKey, timeoutMs }: ProbeTarget,
  port: number | undefined,
  client: ProbeClient,
): Promise<string | undefined> {
  if (port === undefined) return undefined;
  const origin = `http://${new URL(url).hostname}:${port}`;
  const ranks = fieldsOf(await client.page({ origin, path: "/query", apiKey, timeoutMs }));
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

function engineOf(owner: string | undefined, model: Fields, version: Fields): string | undefined {
  if (owner !== undefined) return owner;
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
