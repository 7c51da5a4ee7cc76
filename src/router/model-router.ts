import { GatewayError } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { PolicyRegistry } from "../policy/policy-registry.ts";
import type { Worker } from "../worker/worker.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import type { InferenceRequest, Router, RouterKind } from "./router.ts";

export interface ModelRouterDeps {
  readonly workers: WorkerRegistry;
  readonly policies: PolicyRegistry;
  /** The routers that were made: one in single-router mode, each that the fleet needs in IGW mode. */
  readonly routers: Partial<Readonly<Record<RouterKind, Router>>>;
  readonly logger: Logger;
}

/** Picks the router for a request by what serves its model, and keeps the policies in step with the workers. */
export class ModelRouter implements Disposable {
  readonly #deps: ModelRouterDeps;
  readonly #stopListening: () => void;

  constructor(deps: ModelRouterDeps) {
    this.#deps = deps;
    this.#stopListening = deps.workers.onChange((before, after) => this.#onWorkerChange(before, after));
  }

  async route(request: InferenceRequest): Promise<Response> {
    const { workers, routers } = this.#deps;
    const mode = workers.getWorkersForModel(request.model).workers[0]?.spec.connectionMode ?? "http";
    const router = routers[mode];
    if (!router) throw new GatewayError("not_implemented", `the ${mode} router is not built yet`);
    return router.route(request);
  }

  [Symbol.dispose](): void {
    this.#stopListening();
  }

  /**
   * A model's policy lives from its first worker to its last: counts workers of each model into the policy registry.
   * What is remembered of a worker that fell silent is forgotten: it comes back with an empty cache.
   */
  #onWorkerChange(before: Worker | undefined, after: Worker | undefined): void {
    const { policies } = this.#deps;
    const had = modelsOf(before);
    const has = modelsOf(after);
    const isLost = before?.status === "ready" && after?.status === "not_ready";
    for (const model of has) if (!had.includes(model)) policies.onWorkerAdded(model, after?.spec.policyHint);
    for (const model of had) {
      const isGone = !has.includes(model);
      if (before && (isGone || isLost)) this.#forget(model, before);
      if (isGone) policies.onWorkerRemoved(model);
    }
  }

  /** A policy of the operator's that fails at it keeps nobody from leaving. */
  #forget(model: string, { id, slot }: Worker): void {
    const { policies, logger } = this.#deps;
    try {
      policies.forgetWorker(model, id, slot);
    } catch (error) {
      logger.error({ model, worker: id, error: String(error) }, "the policy failed to forget a worker");
    }
  }
}

/** The models that a worker counts for: none once it is leaving. */
function modelsOf(worker: Worker | undefined): readonly string[] {
  return worker && worker.status !== "draining" ? worker.models : [];
}
