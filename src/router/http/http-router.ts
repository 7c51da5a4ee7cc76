import { GatewayError } from "../../errors/errors.ts";
import type { Policy } from "../../policy/policy.ts";
import type { PolicyRegistry } from "../../policy/policy-registry.ts";
import { Continuation } from "../../protocol/openai/continuation.ts";
import { headerLine, type Transport, type UpstreamTimeouts } from "../../transport/upstream.ts";
import type { WorkerRegistry } from "../../worker/worker-registry.ts";
import type { Attempt } from "../attempt.ts";
import { checkAnswer, relay } from "../relay.ts";
import { type Choice, dispatch, type DispatchDeps } from "../retry.ts";
import type { InferenceRequest, Router } from "../router.ts";
import { StreamContinuation } from "../stream-continuation.ts";
import type { StreamRelayDeps, StreamSource } from "../stream-relay.ts";

export interface HttpRouterDeps extends DispatchDeps {
  readonly workers: WorkerRegistry;
  readonly policies: PolicyRegistry;
  readonly transport: Transport;
  readonly timeouts: UpstreamTimeouts & {
    /** The whole request, first byte in to last byte out, ms. */
    readonly totalMs: number;
  };
  readonly streams: StreamRelayDeps;
  /** Whether streams of this model are gone on with by another worker when theirs is lost. */
  readonly continuesStreams: (model: string) => boolean;
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

const NOBODY: ReadonlySet<string> = new Set();

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
    const choice: Choice = { snapshot, policy, lost: NOBODY };
    const continuation = this.#continuationOf(request, model, policy);
    return dispatch(this.#deps, request, choice, async (attempt) =>
      relay(this.#deps.streams, request, await this.#send(request, attempt, request.body.bytes), continuation),
    );
  }

  /** Where the model's streams are gone on with when their worker is lost. */
  #continuationOf(request: InferenceRequest, model: string, policy: Policy): StreamContinuation | undefined {
    if (!request.isStream || !this.#deps.continuesStreams(model)) return undefined;
    const continuation = Continuation.of(request.endpoint.name, request.body);
    if (!continuation) return undefined;
    return new StreamContinuation({
      continuation,
      metrics: this.#deps.metrics,
      send: async (body, lost) => {
        const snapshot = this.#deps.workers.getWorkersForModel(request.model, "http");
        return dispatch(this.#deps, request, { snapshot, policy, lost }, async (attempt) => {
          const source = await this.#send(request, attempt, body);
          await checkAnswer(source, request);
          return source;
        });
      },
    });
  }

  async #send(request: InferenceRequest, attempt: Attempt, body: Uint8Array): Promise<StreamSource> {
    const { transport, timeouts } = this.#deps;
    const upstream = await transport.send(
      {
        origin: attempt.worker.url,
        method: "POST",
        path: request.endpoint.path,
        headers: this.#headers(request, attempt),
        body,
        timeouts,
        deadline: request.record.startedAt + timeouts.totalMs,
      },
      request.signal,
    );
    return { upstream, attempt };
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
