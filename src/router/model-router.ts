import { GatewayError, whyLeft } from "../errors/errors.ts";
import type { ConnectionMode } from "../util/parse-worker-url.ts";
import type { ModelFinder } from "../worker/model-finder.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import { servedName } from "./served-name.ts";
import type { InferenceRequest, Router, RouterKind } from "./router.ts";
import type { Routers } from "./routers.ts";
import type { Reply } from "../transport/downstream.ts";
import type { WorkerType } from "../util/worker-type.ts";

export interface ModelRouterDeps {
  readonly workers: WorkerRegistry;
  readonly routers: Routers;
  readonly finder: ModelFinder;
}

/** Picks the router for a request by what serves its model. */
export class ModelRouter {
  readonly #deps: ModelRouterDeps;

  constructor(deps: ModelRouterDeps) {
    this.#deps = deps;
  }

  /** Throws not_implemented, and rejects as `Router.route` does. */
  route(request: InferenceRequest): Promise<Reply> {
    const { workers, routers } = this.#deps;
    if (request.endpoint.answeredBy === "tokenizer") return routers.local.answer(request);
    const model = servedName(request.model, workers);
    return model === undefined || workers.serves(model) ? this.#send(request, model) : this.#look(request, model);
  }

  #send(request: InferenceRequest, model: string | undefined): Promise<Reply> {
    const named = model === request.model ? request : { ...request, model };
    return this.#pick(named).route(named);
  }

  /** Nobody is known to serve the model: workers are asked before the client is told so. */
  async #look(request: InferenceRequest, model: string): Promise<Reply> {
    const { finder, workers } = this.#deps;
    try {
      await finder.find(model, request.signal);
    } catch (thrown) {
      if (request.signal.aborted) throw whyLeft(request.signal.reason);
      throw thrown;
    }
    return this.#send(request, servedName(request.model, workers));
  }

  /**
   * The router of the kind of workers that serve the model. Where several kinds do, of those that can serve the route
   * the one whose workers have least to do.
   */
  #pick(request: InferenceRequest): Router {
    const { workers, routers } = this.#deps;
    const { kinds } = workers.getWorkersForModel(request.model);
    const [first = "http"] = kinds;
    if (kinds.length > 1) {
      let best: Router | undefined;
      let least = Number.POSITIVE_INFINITY;
      for (const kind of kinds) {
        const router = routers.get(kind);
        if (!router || router.refusal(request.endpoint) !== undefined) continue;
        const load = this.#loadOf(request.model, kind);
        if (best && load >= least) continue;
        best = router;
        least = load;
      }
      if (best) return best;
    }
    const router = routers.get(first);
    if (!router) throw new GatewayError("not_implemented", `there is no router for ${first} workers`);
    return router;
  }

  /** Requests in flight for each worker that could take one more; Infinity where none could. */
  #loadOf(model: string | undefined, kind: RouterKind): number {
    const [mode, roles] = LEGS[kind];
    let load = 0;
    for (const role of roles) {
      const { available } = this.#deps.workers.getWorkersForModel(model, mode, role);
      let inFlight = 0;
      for (const worker of available) inFlight += worker.inFlight;
      load = Math.max(load, available.length > 0 ? inFlight / available.length : Number.POSITIVE_INFINITY);
    }
    return load;
  }
}

/** What the workers of a kind are, in the registry's words. */
const LEGS: Readonly<Record<RouterKind, readonly [mode: ConnectionMode, roles: readonly WorkerType[]]>> = {
  http: ["http", ["regular"]],
  http_pd: ["http", ["prefill", "decode"]],
  grpc: ["grpc", ["regular"]],
  grpc_pd: ["grpc", ["prefill", "decode"]],
};
