import { snakeCase } from "../../util/case.ts";
import { isRecord } from "../../util/objects.ts";
import type { Worker } from "../../worker/worker.ts";

/** Knowledge of workers that is not theirs. */
export interface WorkerKnowledge {
  /** What is known of its KV events; undefined where they are not followed. */
  readonly kvEvents: object | undefined;
  /** How far what is known of its prefix cache has been right, 0.1 to 1; undefined where no policy keeps it. */
  readonly cacheTrust: number | undefined;
}

/** A worker as the API shows it, without its key. */
export function workerView(worker: Worker, { kvEvents, cacheTrust }: WorkerKnowledge): object {
  const { spec, info } = worker;
  return {
    id: worker.id,
    url: worker.url,
    dp_base_url: worker.rank ? spec.url : null,
    dp_rank: worker.rank?.index ?? null,
    dp_size: worker.rank?.of ?? null,
    source: spec.source,
    model_id: worker.modelId,
    models: worker.models,
    worker_type: spec.workerType,
    connection_mode: worker.connectionMode,
    bootstrap_port: spec.bootstrapPort ?? info.kv?.bootstrapPort ?? null,
    kv_connector: spec.labels["kv_connector"] ?? info.kv?.connector ?? null,
    runtime_type: info.engine ?? "unspecified",
    engine_version: info.engineVersion ?? null,
    max_model_len: info.maxModelLen ?? null,
    kv_capacity_tokens: worker.kvCapacityTokens ?? null,
    cache_trust: cacheTrust ?? null,
    status: worker.status,
    since: new Date(since(worker)).toISOString(),
    trouble: worker.trouble?.reason ?? null,
    last_error: lastError(worker),
    cordoned: spec.isCordoned,
    is_healthy: worker.status === "ready" && worker.trouble === undefined,
    breaker: worker.breakerState,
    is_resting: worker.restUntil !== undefined,
    load: worker.requestsInFlight,
    pending_prompt_tokens: worker.promptTokensInFlight,
    policy: spec.policyHint ?? null,
    labels: spec.labels,
    priority: spec.priority,
    cost: spec.cost,
    tls: inSnakeCase(spec.tls) ?? null,
    has_api_key: spec.apiKey !== undefined,
    kv_events: inSnakeCase(kvEvents) ?? null,
  };
}

function inSnakeCase(value: unknown): unknown {
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [snakeCase(key), inSnakeCase(one)]));
}

/** Since when the worker has its status, or is left out. */
function since({ status, statusSince, trouble }: Worker): number {
  return status === "ready" && trouble ? trouble.since : statusSince;
}

function lastError({ lastError: error }: Worker): object | null {
  return error ? { code: error.code, message: error.message, at: new Date(error.at).toISOString() } : null;
}
