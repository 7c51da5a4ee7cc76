import { GatewayError } from "../errors/errors.ts";
import type { PolicyRegistry } from "../policy/policy-registry.ts";
import type { Endpoint } from "../protocol/endpoint.ts";
import { readJsonBody } from "../protocol/json/json-body.ts";
import type { UpstreamResponse } from "../transport/upstream.ts";
import type { ConnectionMode } from "../util/parse-worker-url.ts";
import type { Worker } from "../worker/worker.ts";
import type { ModelSnapshot } from "../worker/model-snapshot.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import { checkAnswer, relay } from "./relay.ts";
import { dispatch, type DispatchDeps } from "./retry.ts";
import type { InferenceRequest, Router, RouterKind } from "./router.ts";
import type { Choice, Leg } from "./selection.ts";
import type { Legs, Try } from "./try.ts";
import { StreamContinuation } from "./stream-continuation.ts";
import type { StreamRelayDeps, StreamSource } from "./stream-relay.ts";
import { untilLeft } from "../util/until-left.ts";
import type { Reply } from "../transport/downstream.ts";
import type { WorkerType } from "../util/worker-type.ts";

export interface WorkerRouterDeps extends DispatchDeps {
  readonly workers: WorkerRegistry;
  readonly policies: PolicyRegistry;
  readonly streams: StreamRelayDeps;
  /** Whether streams of this model are gone on with by another worker when theirs is lost. */
  readonly continuesStreams: (model: string) => boolean;
}

const NOBODY: ReadonlySet<string> = new Set();

/**
 * What the four routers share, which is nearly all: who may be asked, the choice, the retry, the relay and what becomes of
 * a stream whose worker is lost. A router says which workers a request needs and how it is sent to them.
 */
export abstract class WorkerRouter<Prepared extends InferenceRequest = InferenceRequest> implements Router {
  abstract readonly kind: RouterKind;
  /** How its workers are spoken to. */
  protected abstract readonly mode: ConnectionMode;
  readonly #deps: WorkerRouterDeps;

  constructor(deps: WorkerRouterDeps) {
    this.#deps = deps;
  }

  /** Why this router cannot serve the endpoint; undefined where it can. */
  abstract refusal(endpoint: Endpoint): string | undefined;

  /** The types of the workers that a request to this endpoint needs. */
  protected abstract rolesFor(endpoint: Endpoint): Legs<WorkerType>;

  /**
   * Sends to the workers of one try and returns the answer's head, with the body to be read. May end the attempt of the
   * worker that prefills; the relay ends that of the worker that answers. Where the sender knows which of the two failed, it
   * ends that one's attempt with the error.
   */
  protected abstract send(request: Prepared, tried: Try): Promise<UpstreamResponse>;

  /** What is done once, before a worker is chosen: a request for engines that speak tokens becomes tokens. */
  protected abstract prepare(request: InferenceRequest): Prepared | Promise<Prepared>;

  /** Whether these two can work together. */
  protected fits(_prefill: Worker, _decode: Worker): boolean {
    return true;
  }

  async route(request: InferenceRequest): Promise<Reply> {
    const refusal = this.refusal(request.endpoint);
    if (refusal !== undefined) throw new GatewayError("not_implemented", refusal);
    const choice = this.#choiceFor(request, NOBODY);
    const made = this.prepare(request);
    const prepared = made instanceof Promise ? await untilLeft(made, request.signal) : made;
    const continuation = this.#continuationOf(request);
    return dispatch(this.#deps, prepared, choice, async (tried) =>
      relay(this.#deps.streams, prepared, await this.#source(prepared, tried), continuation),
    );
  }

  /** Throws model_not_found, and no_available_workers where a leg has nobody at all. */
  #choiceFor(request: InferenceRequest, lost: ReadonlySet<string>): Choice {
    const { model: named, endpoint, record } = request;
    const { workers } = this.#deps;
    const roles = this.rolesFor(endpoint);
    const answerers = workers.getWorkersForModel(named, this.mode, roles.answer);
    const prefillers = roles.prefill && workers.getWorkersForModel(named, this.mode, roles.prefill);
    const anyWorker = prefillers?.workers[0] ?? answerers.workers[0];
    if (!anyWorker) throw nobodyServes(named);
    const model = named ?? anyWorker.modelId;
    record.model = model;
    // A name that a worker lists is one of ours, and may stand in metrics.
    record.isModelListed = workers.lists(model);
    const prefill = roles.prefill && prefillers && this.#legOf(roles.prefill, prefillers, model);
    const answer = this.#legOf(roles.answer, answerers, model);
    record.policy = prefill ? `${prefill.policy.name}+${answer.policy.name}` : answer.policy.name;
    return { legs: { prefill, answer }, lost, fits: (one, other) => this.fits(one, other) };
  }

  /** Throws no_available_workers where there is no such worker. */
  #legOf(role: WorkerType, snapshot: ModelSnapshot, model: string): Leg {
    if (snapshot.workers.length === 0) throw legMissing(role);
    const { policies } = this.#deps;
    return { role, snapshot, policy: policies.getPolicy(model, role) ?? policies.getDefaultPolicy() };
  }

  /** Where the model's streams are gone on with when their worker is lost. */
  #continuationOf(request: InferenceRequest): StreamContinuation | undefined {
    const { continuesStreams, metrics } = this.#deps;
    if (!request.isStream || !continuesStreams(request.record.model ?? "")) return undefined;
    const continuation = request.endpoint.continuation?.(request.body);
    if (!continuation) return undefined;
    return new StreamContinuation({
      continuation,
      metrics,
      send: async (bytes, lost) => {
        const made = this.prepare({ ...request, body: await readJsonBody(bytes) });
        const rest = made instanceof Promise ? await untilLeft(made, request.signal) : made;
        return dispatch(this.#deps, rest, this.#choiceFor(rest, lost), async (tried) => {
          const source = await this.#source(rest, tried);
          await checkAnswer(source, rest);
          return source;
        });
      },
    });
  }

  async #source(request: Prepared, tried: Try): Promise<StreamSource> {
    return { upstream: await this.send(request, tried), attempt: tried.answer };
  }
}

/** The model is nobody's, or there is nobody at all. */
export function nobodyServes(model: string | undefined): GatewayError {
  if (model === undefined)
    return new GatewayError("no_available_workers", "no worker is registered", { retryAfterSecs: 1 });
  return new GatewayError("model_not_found", `the model ${quoted(model)} does not exist here`, { param: "model" });
}

function legMissing(role: WorkerType): GatewayError {
  return new GatewayError("no_available_workers", `the model has no ${role} worker`, { retryAfterSecs: 1 });
}

/** A name from outside, safe to print: escaped and at most 200 characters. */
function quoted(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}...` : name);
}
