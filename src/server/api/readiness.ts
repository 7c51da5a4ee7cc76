import { hasPair, mayPrefillAlone } from "../../engine/connectors.ts";
import type { ErrorCode } from "../../errors/errors.ts";
import { jsonReply, type WholeReply } from "../../transport/downstream.ts";
import type { WorkerType } from "../../util/worker-type.ts";
import type { Worker } from "../../worker/worker.ts";
import type { WorkerRegistry } from "../../worker/worker-registry.ts";

export interface ReadinessDeps {
  readonly workerRegistry: WorkerRegistry;
  readonly isDraining: () => boolean;
  /** Whether decode workers of this model may serve its requests without a prefill worker. */
  readonly skipsPrefill: (model: string) => boolean;
}

/** Why the gateway should get no traffic. `code` is the error that a request would get. */
interface Unready {
  readonly code: ErrorCode;
  readonly reason: string;
}

/** 200 if the gateway could serve a request, otherwise 503 with a code and a reason. It names no worker and no model, because callers need no key. */
export function readinessReply({ workerRegistry, isDraining, skipsPrefill }: ReadinessDeps): WholeReply {
  if (isDraining()) return unready({ code: "server_shutting_down", reason: "draining" });
  const { workers, available } = workerRegistry.getWorkersForModel(undefined);
  const reason = whyNobodyServes(workerRegistry, skipsPrefill);
  if (reason !== undefined) return unready({ code: "no_available_workers", reason }, { errors: errorsOf(workers) });
  return jsonReply({ status: "ready", healthy_workers: available.length, total_workers: workers.length });
}

function unready(why: Unready, more: object = {}): WholeReply {
  return jsonReply({ status: "not ready", ...why, ...more }, { status: 503 });
}

/** What a model may lack, from the least to the most. */
const LACKS = [
  "no healthy prefill and decode workers that fit together",
  "no healthy decode workers",
  "no healthy prefill workers",
  "no healthy workers",
] as const;
type Lack = (typeof LACKS)[number];

/** Undefined if at least one model can be served. Otherwise the smallest lack of all models. */
function whyNobodyServes(registry: WorkerRegistry, skipsPrefill: ReadinessDeps["skipsPrefill"]): string | undefined {
  if (registry.count() === 0) return "no workers registered";
  const models = registry.models();
  const found = new Set<Lack>();
  for (const model of models.length > 0 ? models : [undefined]) {
    for (const mode of ["http", "grpc"] as const) {
      const lack = lackOf((type) => registry.getWorkersForModel(model, mode, type).available);
      if (lack === undefined || (mayDoWithout(lack) && servesAlone(registry, model, skipsPrefill))) return undefined;
      found.add(lack);
    }
  }
  return LACKS.find((lack) => found.has(lack));
}

/** Undefined if a regular worker is available, or a prefill and a decode worker that fit together. */
function lackOf(available: (type: WorkerType) => readonly Worker[]): Lack | undefined {
  if (available("regular").length > 0) return undefined;
  const [prefills, decodes] = [available("prefill"), available("decode")];
  if (prefills.length > 0 && decodes.length > 0) return hasPair(prefills, decodes) ? undefined : LACKS[0];
  if (prefills.length > 0) return LACKS[1];
  return decodes.length > 0 ? LACKS[2] : LACKS[3];
}

/** Whether decode workers may serve all the same. */
function mayDoWithout(lack: Lack): boolean {
  return lack === LACKS[0] || lack === LACKS[2];
}

function servesAlone(
  registry: WorkerRegistry,
  model: string | undefined,
  skipsPrefill: ReadinessDeps["skipsPrefill"],
): boolean {
  const decodes = registry.getWorkersForModel(model).available.filter(({ role }) => role === "decode");
  const [first] = decodes;
  return first !== undefined && decodes.some(mayPrefillAlone) && skipsPrefill(model ?? first.modelId);
}

/** Counts the last errors of the workers that take no requests, by code of the errors table. */
function errorsOf(workers: readonly Worker[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { status, trouble, lastError } of workers) {
    if (!lastError || (status === "ready" && !trouble)) continue;
    counts[lastError.code] = (counts[lastError.code] ?? 0) + 1;
  }
  return counts;
}
