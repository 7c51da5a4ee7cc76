import { GatewayError } from "../errors/errors.ts";
import type { Endpoint } from "../protocol/endpoint.ts";
import { readJsonBody } from "../protocol/json/json-body.ts";
import type { Reply } from "../transport/downstream.ts";
import { untilLeft } from "../util/until-left.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { ModelSnapshot } from "../worker/model-snapshot.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import { checkAnswer, relay } from "./relay.ts";
import { dispatch, type DispatchDeps } from "./retry.ts";
import type { InferenceRequest, Router } from "./router.ts";
import type { Choice, Leg } from "./choice.ts";
import { choosesPairs, type LegPolicies, policyOf } from "./pd/pair-policies.ts";
import type { Sender } from "./sender.ts";
import { StreamContinuation } from "./stream-continuation.ts";
import type { StreamRelayDeps } from "./stream-relay.ts";
import type { StreamSource } from "./stream-source.ts";

export interface WorkerRouterDeps extends DispatchDeps {
  readonly workers: Pick<WorkerRegistry, "getWorkersForModel" | "lists">;
  readonly policies: LegPolicies;
  readonly streams: StreamRelayDeps;
  /** Whether another worker continues a stream of this model when its worker is lost. */
  readonly continuesStreams: (model: string) => boolean;
  /** Whether a decode worker may prefill for itself where that costs less than a separate prefill. */
  readonly skipsPrefill: boolean;
}

const NOBODY: ReadonlySet<string> = new Set();
const NEVER: Choice["prefillsAlone"] = () => false;

/**
 * Takes a request to workers, and their answer to the client. It has the candidates, the choice, the retry, the relay, and the
 * continuation of a stream whose worker is lost. The four routers are this class with four senders.
 */
export class WorkerRouter<Prepared extends InferenceRequest = InferenceRequest> implements Router {
  readonly #deps: WorkerRouterDeps;
  readonly #sender: Sender<Prepared>;

  constructor(deps: WorkerRouterDeps, sender: Sender<Prepared>) {
    this.#deps = deps;
    this.#sender = sender;
  }

  get speaksTokens(): boolean {
    return this.#sender.speaksTokens;
  }

  refusal(endpoint: Endpoint): string | undefined {
    return this.#sender.refusal(endpoint);
  }

  /** Throws, or rejects with, the errors of the request and of its last try. Not async: that would cost a small request 1 %. */
  route(request: InferenceRequest, serving: ModelSnapshot): Promise<Reply> {
    const refusal = this.#sender.refusal(request.endpoint);
    if (refusal !== undefined) throw new GatewayError("not_implemented", refusal);
    const choice = this.#choiceFor(request, serving, NOBODY);
    const made = this.#sender.prepare(request, serving);
    if (!(made instanceof Promise)) return this.#dispatch(request, made, choice);
    return untilLeft(made, request.signal).then((prepared) => this.#dispatch(request, prepared, choice));
  }

  #dispatch(request: InferenceRequest, prepared: Prepared, choice: Choice): Promise<Reply> {
    const continuation = this.#continuationOf(request);
    const { streams } = this.#deps;
    return dispatch(this.#deps, prepared, choice, (tried) =>
      relay(streams, prepared, { sent: this.#sender.send(prepared, tried), attempt: tried.answer }, continuation),
    );
  }

  /** Throws model_not_found; no_available_workers where a leg has no worker at all. */
  #choiceFor(request: InferenceRequest, serving: ModelSnapshot, lost: ReadonlySet<string>): Choice {
    const { model: named, endpoint, record } = request;
    const { mode, fits } = this.#sender;
    const roles = this.#sender.rolesFor(endpoint);
    const answerers = serving.of(mode, roles.answer);
    const prefillers = roles.prefill && serving.of(mode, roles.prefill);
    const anyWorker = prefillers?.workers[0] ?? answerers.workers[0];
    if (!anyWorker) throw nobodyServes(named);
    const model = named ?? anyWorker.modelId;
    record.model = model;
    // A name that a worker lists may be a label of metrics.
    record.isModelListed = named === undefined ? this.#deps.workers.lists(model) : serving.isListed;
    const prefillsAlone = roles.prefill ? this.#aloneOn(endpoint) : NEVER;
    const prefill = roles.prefill && prefillers && this.#legOf(roles.prefill, prefillers, model);
    const answer = this.#legOf(roles.answer, answerers, model);
    if (prefillers?.workers.length === 0 && !this.#servesAlone(model, answerers, prefillsAlone)) {
      throw legMissing("prefill");
    }
    if (answerers.workers.length === 0) throw legMissing(roles.answer);
    record.policy = prefill ? `${prefill.policy.name}+${answer.policy.name}` : answer.policy.name;
    return { legs: { prefill, answer }, lost, fits, prefillsAlone };
  }

  /** Whether decode workers serve the model's requests while it has no prefill worker at all. */
  #servesAlone(model: string, { available }: ModelSnapshot, prefillsAlone: Choice["prefillsAlone"]): boolean {
    return choosesPairs(this.#deps.policies, model) && available.some(prefillsAlone);
  }

  #aloneOn(endpoint: Endpoint): Choice["prefillsAlone"] {
    if (!this.#deps.skipsPrefill) return NEVER;
    return (decode) => this.#sender.prefillsAlone(decode, endpoint);
  }

  #legOf(role: WorkerType, snapshot: ModelSnapshot, model: string): Leg {
    return { role, snapshot, policy: policyOf(this.#deps.policies, model, role) };
  }

  /** undefined where no worker would continue this stream. */
  #continuationOf(request: InferenceRequest): StreamContinuation | undefined {
    const { continuesStreams, metrics } = this.#deps;
    if (!request.isStream || !continuesStreams(request.record.model ?? "")) return undefined;
    const continuation = request.endpoint.continuation?.(request.body);
    if (!continuation) return undefined;
    return new StreamContinuation({
      continuation,
      metrics,
      send: (bytes, lost) => this.#sendRest(request, bytes, lost),
    });
  }

  /** Sends the request for the rest of a stream to workers that are not in `lost`. */
  async #sendRest(request: InferenceRequest, bytes: Uint8Array, lost: ReadonlySet<string>): Promise<StreamSource> {
    // The workers may have changed meanwhile.
    const serving = this.#deps.workers.getWorkersForModel(request.model);
    const made = this.#sender.prepare({ ...request, body: await readJsonBody(bytes) }, serving);
    const rest = made instanceof Promise ? await untilLeft(made, request.signal) : made;
    return dispatch(this.#deps, rest, this.#choiceFor(rest, serving, lost), async (tried) => {
      const source = { upstream: await this.#sender.send(rest, tried), attempt: tried.answer };
      await checkAnswer(source, rest);
      return source;
    });
  }
}

/** The error where no worker serves the model, or where there is no worker at all. */
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
