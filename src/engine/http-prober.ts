import { isJsonObject, type JsonObject } from "../protocol/json/json.ts";
import type { Secret } from "../util/secret.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { WorkerFacts, WorkerProber } from "../worker/prober.ts";
import type { ModelCard, WorkerInfo } from "../worker/worker.ts";
import type { Engine, FirstPages, PageOptions, PageReader } from "./engine.ts";
import { ENGINES, engineNamed } from "./engines.ts";
import type { Page, ProbeClient } from "./probe-client.ts";
import { ranksOf } from "./rank-pin.ts";
import { saidCount, saidText } from "./said.ts";

/** Most models that the prober takes from one worker's list. */
const MAX_MODELS = 1000;

/** Every OpenAI-compatible server has this page. Many write the engine's name in `owned_by`; SGLang and vLLM add `max_model_len`. */
const MODELS_PATH = "/v1/models";
const MODEL_INFO_PATHS = ["/get_model_info", "/model_info"];

type Server = Pick<ProbeTarget, "url" | "apiKey" | "timeoutMs">;

/** The worker to ask, and how. */
export interface ProbeTarget {
  readonly url: string;
  readonly apiKey: Secret | undefined;
  readonly timeoutMs: number;
  /** Prefill and decode workers are also asked how their KV cache moves. */
  readonly workerType: WorkerType;
  /** The model to assume if the worker names none (`--model-path`). */
  readonly modelFallback: string | undefined;
}

/** Asks HTTP workers for the pages that any server may have, and then for the pages of their engine. */
export function createHttpProber(client: ProbeClient): WorkerProber {
  return {
    health: ({ spec }, { endpoint, timeoutMs }) =>
      client.health({ url: spec.url, apiKey: spec.apiKey, path: endpoint, timeoutMs }),
    ask: ({ spec }, { timeoutMs }, modelFallback) =>
      askWorker({ url: spec.url, apiKey: spec.apiKey, timeoutMs, workerType: spec.workerType, modelFallback }, client),
    listing: ({ spec }, { timeoutMs }) => listingOf({ url: spec.url, apiKey: spec.apiKey, timeoutMs }, client),
  };
}

/** Asks a worker for its facts. `missing` is set if the worker did not answer for its list of models, so the health checker asks again. */
export async function askWorker(target: ProbeTarget, client: ProbeClient): Promise<WorkerFacts> {
  const pages = new WorkerPages(target, client);
  const [models, modelInfo, version] = await Promise.all([
    pages.page(MODELS_PATH),
    pages.firstOf(MODEL_INFO_PATHS),
    pages.fields("/version"),
  ]);
  const first: FirstPages = { modelInfo, version };
  const owner = ownerOf(models);
  const engine = owner === undefined ? engineBehind(first) : engineNamed(owner);
  const facts = await (engine ?? engineNamed(undefined)).probe.askPages(first, pages);
  const cards = cardsOf(models);
  const [main] = cards;
  const named = facts.model ?? target.modelFallback;
  const info: WorkerInfo = {
    models: main ? cards.map(({ id }) => id) : named === undefined ? [] : [named],
    cards,
    engine: owner ?? engine?.name,
    engineVersion: facts.version ?? saidText(version, "version"),
    maxModelLen: main?.maxModelLen ?? facts.maxModelLen,
    kvCapacityTokens: facts.kvCapacityTokens,
    startedAt: facts.startedAt,
    kv: facts.kv,
    kvEvents: facts.kvEvents,
    dataParallelSize: ranksOf(engine ?? engineNamed(owner), facts),
  };
  return { info, listing: listingIn(models), missing: models.kind === "failed" ? models.failure : undefined };
}

/** The worker's list of models as one text; undefined if the worker did not answer. */
export async function listingOf(server: Server, client: ProbeClient): Promise<string | undefined> {
  return listingIn(await client.page({ ...server, path: MODELS_PATH }));
}

function engineBehind(first: FirstPages): Engine | undefined {
  return ENGINES.find(({ probe }) => probe.isKnownBy(first));
}

function listingIn(models: Page): string | undefined {
  if (models.kind === "failed") return undefined;
  // vLLM sets `created` to the time of the answer, so the text leaves it out.
  return JSON.stringify(cardsOf(models).map(({ id, maxModelLen, root, parent }) => [id, maxModelLen, root, parent]));
}

class WorkerPages implements PageReader {
  readonly url: string;
  readonly workerType: WorkerType;
  readonly #target: ProbeTarget;
  readonly #client: ProbeClient;

  constructor(target: ProbeTarget, client: ProbeClient) {
    this.url = target.url;
    this.workerType = target.workerType;
    this.#target = target;
    this.#client = client;
  }

  page(path: string, { origin, patience = 1 }: PageOptions = {}): Promise<Page> {
    const { url, timeoutMs } = this.#target;
    // The key is for the worker itself, and not for what else listens on its host.
    const apiKey = origin === undefined ? this.#target.apiKey : undefined;
    return this.#client.page({ url: origin ?? url, path, apiKey, timeoutMs: timeoutMs * patience });
  }

  async fields(path: string, options?: PageOptions): Promise<JsonObject> {
    return membersOf(await this.page(path, options));
  }

  text(path: string): Promise<string> {
    const { url, apiKey, timeoutMs } = this.#target;
    return this.#client.text({ url, path, apiKey, timeoutMs });
  }

  async firstOf(paths: readonly string[]): Promise<JsonObject> {
    for (const path of paths) {
      const answer = await this.fields(path);
      if (Object.keys(answer).length > 0) return answer;
    }
    return NO_MEMBERS;
  }
}

/** The models in the list, each once. */
function cardsOf(models: Page): readonly ModelCard[] {
  const byId = new Map<string, ModelCard>();
  for (const card of entriesOf(models)) {
    const id = saidText(card, "id");
    if (id === undefined || byId.has(id) || byId.size >= MAX_MODELS) continue;
    byId.set(id, {
      id,
      maxModelLen: saidCount(card, "max_model_len"),
      created: saidCount(card, "created"),
      root: saidText(card, "root"),
      parent: saidText(card, "parent"),
    });
  }
  return [...byId.values()];
}

/** `owned_by` of the first model. */
function ownerOf(models: Page): string | undefined {
  return saidText(entriesOf(models)[0] ?? NO_MEMBERS, "owned_by");
}

function entriesOf(models: Page): readonly JsonObject[] {
  const { data } = membersOf(models);
  return Array.isArray(data) ? data.map((entry: unknown) => (isJsonObject(entry) ? entry : NO_MEMBERS)) : [];
}

function membersOf(page: Page): JsonObject {
  return page.kind === "json" && isJsonObject(page.value) ? page.value : NO_MEMBERS;
}

const NO_MEMBERS: JsonObject = {};
