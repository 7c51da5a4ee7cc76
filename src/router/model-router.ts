import { GatewayError, whyLeft } from "../errors/errors.ts";
import type { Reply } from "../transport/downstream.ts";
import type { ConnectionMode } from "../util/parse-worker-url.ts";
import { untilLeft } from "../util/until-left.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { ModelFinder } from "../worker/model-finder.ts";
import type { ModelSnapshot } from "../worker/model-snapshot.ts";
import type { WorkerKind } from "../worker/worker.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import type { InferenceRequest, Router } from "./router.ts";
import type { Routers } from "./routers.ts";
import { servedName } from "./served-name.ts";

export interface ModelRouterDeps {
  readonly workers: Pick<WorkerRegistry, "getWorkersForModel" | "models">;
  readonly routers: Routers;
  readonly finder: ModelFinder;
}

/** Picks the router for a request by the workers of its model. */
export class ModelRouter {
  readonly #deps: ModelRouterDeps;

  constructor(deps: ModelRouterDeps) {
    this.#deps = deps;
  }

  /** Throws not_implemented, and rejects as `Router.route` does. */
  route(request: InferenceRequest): Promise<Reply> {
    const { workers } = this.#deps;
    if (request.endpoint.answeredBy === "tokenizer") return this.#answerHere(request);
    const model = servedName(request.model, workers);
    const serving = workers.getWorkersForModel(model);
    if (model !== undefined && serving.workers.length === 0) return this.#look(request, model);
    return this.#send(request, model, serving);
  }

  #send(request: InferenceRequest, model: string | undefined, serving: ModelSnapshot): Promise<Reply> {
    const named = model === request.model ? request : { ...request, model };
    const router = this.#pick(named, serving);
    if (named.endpoint.work === "tokenize" && router.speaksTokens) return this.#answerHere(named);
    return router.route(named, serving);
  }

  /** The gateway's own tokenizer of the model answers. */
  #answerHere(request: InferenceRequest): Promise<Reply> {
    return untilLeft(this.#deps.routers.local.answer(request), request.signal);
  }

  /** Handles a model that no known worker serves: asks all workers for their listings before it refuses the request. */
  async #look(request: InferenceRequest, model: string): Promise<Reply> {
    const { finder, workers } = this.#deps;
    try {
      await finder.find(model, request.signal);
    } catch (thrown) {
      if (request.signal.aborted) throw whyLeft(request.signal.reason);
      throw thrown;
    }
    const found = servedName(request.model, workers);
    return this.#send(request, found, workers.getWorkersForModel(found));
  }

  /**
   * The router for the kind of workers that serve the model. Of several kinds whose routers can serve the route, it picks the kind
   * with the least load.
   */
  #pick(request: InferenceRequest, serving: ModelSnapshot): Router {
    const { routers } = this.#deps;
    const { kinds } = serving;
    const [first = "http"] = kinds;
    if (kinds.length > 1) {
      let best: Router | undefined;
      let least = Number.POSITIVE_INFINITY;
      for (const kind of kinds) {
        const router = routers.get(kind);
        if (!router || router.refusal(request.endpoint) !== undefined) continue;
        const load = loadOf(serving, kind);
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
}

/** Requests in flight for each worker that can take one more, of the busier leg; Infinity where a leg has no such worker. */
function loadOf(serving: ModelSnapshot, kind: WorkerKind): number {
  const [mode, roles] = LEGS[kind];
  let load = 0;
  for (const role of roles) {
    const { available } = serving.of(mode, role);
    let inFlight = 0;
    for (const worker of available) inFlight += worker.inFlight;
    load = Math.max(load, available.length > 0 ? inFlight / available.length : Number.POSITIVE_INFINITY);
  }
  return load;
}

/** Protocol and roles of the workers of each kind. */
const LEGS: Readonly<Record<WorkerKind, readonly [mode: ConnectionMode, roles: readonly WorkerType[]]>> = {
  http: ["http", ["regular"]],
  http_pd: ["http", ["prefill", "decode"]],
  grpc: ["grpc", ["regular"]],
  grpc_pd: ["grpc", ["prefill", "decode"]],
};
