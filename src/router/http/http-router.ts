import { GatewayError } from "../../errors/errors.ts";
import type { PolicyRegistry } from "../../policy/policy-registry.ts";
import { headerLine, type Transport, type UpstreamTimeouts } from "../../transport/upstream.ts";
import type { WorkerRegistry } from "../../worker/worker-registry.ts";
import type { Attempt } from "../attempt.ts";
import { relay } from "../relay.ts";
import { dispatch, type DispatchDeps } from "../retry.ts";
import type { InferenceRequest, Router } from "../router.ts";

export interface HttpRouterDeps extends DispatchDeps {
  readonly workers: WorkerRegistry;
  readonly policies: PolicyRegistry;
  readonly transport: Transport;
  readonly timeouts: UpstreamTimeouts & {
    /** The whole request, first byte in to last byte out, ms. */
    readonly totalMs: number;
  };
  /** Client headers that workers get besides the built-in ones, lower case. */
  readonly forwardHeaders: readonly string[];
}

/** What a worker gets of a client's headers. Credentials, cookies and addresses are not among them. */
const FORWARDED_HEADERS = [
  "accept",
  "traceparent",
  "tracestate",
  "anthropic-version",
  "anthropic-beta",
  "openai-beta",
] as const;

/** One HTTP worker for each request: the seed's HttpRouter. */
export class HttpRouter implements Router {
  readonly kind = "http";
  readonly #deps: HttpRouterDeps;
  readonly #forwarded: readonly string[];

  constructor(deps: HttpRouterDeps) {
    this.#deps = deps;
    this.#forwarded = [...FORWARDED_HEADERS, ...deps.forwardHeaders];
  }

  async route(request: InferenceRequest): Promise<Response> {
    const { workers, policies } = this.#deps;
    const snapshot = workers.getWorkersForModel(request.model, "http");
    const [anyWorker] = snapshot.workers;
    if (!anyWorker) throw nobodyServes(request.model);
    // Now that a worker serves it, the name is one of ours and may stand in metrics.
    const model = request.model ?? anyWorker.modelId;
    request.record.model = model;
    const policy = policies.getPolicy(model) ?? policies.getDefaultPolicy();
    request.record.policy = policy.name;
    return dispatch(this.#deps, request, snapshot, policy, (attempt) => this.#send(request, attempt));
  }

  async #send(request: InferenceRequest, attempt: Attempt): Promise<Response> {
    const { transport, timeouts } = this.#deps;
    const upstream = await transport.send(
      {
        origin: attempt.worker.url,
        method: "POST",
        path: request.endpoint.path,
        headers: this.#headers(request, attempt),
        body: request.body,
        timeouts,
        deadline: request.record.startedAt + timeouts.totalMs,
      },
      request.signal,
    );
    return relay(upstream, request, attempt);
  }

  #headers(request: InferenceRequest, attempt: Attempt): string {
    let lines = `content-type: application/json\r\naccept-encoding: identity\r\nx-request-id: ${request.record.requestId}\r\n`;
    for (const name of this.#forwarded) {
      const value = request.headers.get(name);
      if (value !== null) lines += headerLine(name, value);
    }
    const key = attempt.worker.spec.apiKey;
    if (key) lines += headerLine("authorization", `Bearer ${key.reveal()}`);
    return lines;
  }
}

function nobodyServes(model: string | undefined): GatewayError {
  if (model === undefined)
    return new GatewayError("no_available_workers", "no worker is registered", { retryAfterSecs: 1 });
  return new GatewayError("model_not_found", `the model ${quoted(model)} does not exist here`, { param: "model" });
}

/** A name from outside, safe to print: escaped and at most 200 characters. */
function quoted(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}...` : name);
}
