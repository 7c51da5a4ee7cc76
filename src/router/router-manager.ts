import { GatewayError } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { PolicyRegistry } from "../policy/policy-registry.ts";
import type { HealthChecker } from "../worker/health-checker.ts";
import type { Worker, WorkerSpec } from "../worker/worker.ts";
import type { WorkerDrainer } from "../worker/worker-drainer.ts";
import type { WorkerFactory } from "../worker/worker-factory.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import type { InferenceRequest, Router, RouterKind } from "./router.ts";

export interface RouterManagerDeps {
  readonly workers: WorkerRegistry;
  readonly policies: PolicyRegistry;
  readonly factory: WorkerFactory;
  readonly health: HealthChecker;
  readonly drainer: WorkerDrainer;
  /** The routers that were made: one in single-router mode, each that the fleet needs in IGW mode. */
  readonly routers: Partial<Readonly<Record<RouterKind, Router>>>;
  readonly logger: Logger;
  /** How long a removed worker may finish its requests, ms. */
  readonly drainTimeoutMs: number;
}

/** The seed's answer to a change of workers. */
export interface WorkerApiResponse {
  readonly success: boolean;
  readonly message: string;
  readonly worker: Worker | undefined;
}

/**
 * Picks the router for a request by what serves its model, and is the one door through which workers come and go, so
 * that the registries change together.
 */
export class RouterManager implements Disposable {
  readonly #deps: RouterManagerDeps;
  readonly #stopListening: () => void;

  constructor(deps: RouterManagerDeps) {
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

  /** Registers a worker and begins to probe it. Throws worker_exists, invalid_request. */
  addWorker(spec: WorkerSpec): WorkerApiResponse & { readonly worker: Worker } {
    const { factory, workers, health, policies, logger } = this.#deps;
    if (spec.policyHint !== undefined) policies.checkName(spec.policyHint);
    const worker = factory.create(spec);
    workers.register(worker);
    health.watch(worker.id);
    logger.info(
      { worker: worker.id, url: worker.url, model: spec.modelId, policy_hint: spec.policyHint },
      "worker added",
    );
    return { success: true, message: `Worker ${worker.id} added`, worker };
  }

  /** Changes what is said of a worker, and asks it anew where that matters. Throws worker_not_found. */
  updateWorker(id: string, spec: WorkerSpec): WorkerApiResponse & { readonly worker: Worker } {
    const { workers, health, policies, logger } = this.#deps;
    if (spec.policyHint !== undefined) policies.checkName(spec.policyHint);
    const worker = workers.update(id, { spec });
    health.watch(id);
    logger.info({ worker: id, url: worker.url }, "worker updated");
    return { success: true, message: `Worker ${id} updated`, worker };
  }

  /**
   * No new request from now; what it has may finish. `gone` resolves when it has left the registry.
   * Throws worker_not_found, also for one that is leaving already.
   */
  removeWorker(worker: Worker): WorkerApiResponse & { readonly gone: Promise<void> } {
    const { drainer, drainTimeoutMs, logger } = this.#deps;
    const gone = drainer.drain(worker.id, drainTimeoutMs);
    logger.info({ worker: worker.id, url: worker.url, in_flight: worker.inFlight }, "worker removed");
    return { success: true, message: `Worker ${worker.id} removed`, worker: undefined, gone };
  }

  /** For `GET /policies`. */
  describePolicies(): object {
    return this.#deps.policies.describe();
  }

  [Symbol.dispose](): void {
    this.#stopListening();
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

  /** A model's policy lives from its first worker to its last: counts workers of each model into the policy registry. */
  #onWorkerChange(before: Worker | undefined, after: Worker | undefined): void {
    const { policies } = this.#deps;
    const had = modelsOf(before);
    const has = modelsOf(after);
    for (const model of has) if (!had.includes(model)) policies.onWorkerAdded(model, after?.spec.policyHint);
    for (const model of had) {
      if (has.includes(model)) continue;
      if (before) this.#forget(model, before);
      policies.onWorkerRemoved(model);
    }
  }
}

/** The models that a worker counts for: none once it is leaving. */
function modelsOf(worker: Worker | undefined): readonly string[] {
  return worker && worker.status !== "draining" ? worker.models : [];
}
