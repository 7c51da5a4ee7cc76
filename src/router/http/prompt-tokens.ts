import type { Logger } from "../../observability/logger.ts";
import type { Metrics } from "../../observability/metrics.ts";
import type { PolicyRegistry } from "../../policy/policy-registry.ts";
import type { RequestFeatures } from "../../policy/policy.ts";
import { GatewayError } from "../../errors/errors.ts";
import type { Clock } from "../../util/clock.ts";
import { chatFormOf } from "../../engine/engines.ts";
import type { ModelSnapshot } from "../../worker/model-snapshot.ts";
import type { WorkerType } from "../../util/worker-type.ts";
import { TokenFeatures } from "../features/token-features.ts";
import type { ModelText, ModelTexts } from "../grpc/model-text.ts";
import { encodePrompts } from "../grpc/prompt-encoder.ts";
import { readWhole } from "../grpc/whole-body.ts";
import type { InferenceRequest } from "../router.ts";
import { TokenAgreement } from "./token-agreement.ts";

export interface PromptTokensDeps {
  readonly texts: Pick<ModelTexts, "ifLoaded">;
  readonly policies: Pick<PolicyRegistry, "takesCacheNews">;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Workers without a setting of their own publish KV events. */
  readonly followsAll: boolean;
}

/**
 * Makes the tokens of prompts for HTTP workers whose KV events are followed. Events name token ids, so a policy can compare a prompt with
 * them only as tokens. The worker still gets the client's bytes. Where the tokens cannot be made, the policy gets the text.
 */
export class PromptTokens {
  readonly #deps: PromptTokensDeps;
  readonly #agreement: TokenAgreement;

  constructor(deps: PromptTokensDeps) {
    this.#deps = deps;
    this.#agreement = new TokenAgreement(deps.clock, (model, ours, theirs) => {
      const counts = { model, gateway_tokens: ours, worker_tokens: theirs };
      deps.logger.warn(counts, "the gateway's tokens of a model are not its workers': prompts are compared as text");
    });
  }

  /** Whether KV events of any of these workers are followed. */
  mayBeWanted({ hasKvEvents }: ModelSnapshot): boolean {
    return hasKvEvents || this.#deps.followsAll;
  }

  /** Whether tokens say more to the policy of these workers than text. */
  areWanted({ endpoint, model }: InferenceRequest, serving: ModelSnapshot, role: WorkerType): boolean {
    if (!this.mayBeWanted(serving)) return false;
    const name = model ?? serving.workers[0]?.modelId;
    return endpoint.read !== undefined && name !== undefined && this.#deps.policies.takesCacheNews(name, role);
  }

  /** The request with its prompt as tokens for the policy, or as it is. Rejects with client_closed. */
  async of<R extends InferenceRequest>(request: R, serving: ModelSnapshot): Promise<R> {
    const model = request.model ?? serving.workers[0]?.modelId ?? "";
    if (this.#agreement.differs(model)) return this.#asText(request, model, "differs");
    const text = this.#deps.texts.ifLoaded(model);
    if (!text) return this.#asText(request, model, "no_tokenizer");
    try {
      const features = await encode(request, text, serving);
      if (!features) return this.#asText(request, model, "not_rendered");
      this.#count(model, "tokens");
      const { record } = request;
      record.onSettled(() => {
        // Another model of the route may have answered.
        if (record.model === model) this.#agreement.note(model, features.promptTokens, record.tokens?.promptTokens);
      });
      return { ...request, features };
    } catch (error) {
      if (error instanceof GatewayError && error.code === "client_closed") throw error;
      // The engine may take what the gateway cannot read: pictures, or a template's own members.
      return this.#asText(request, model, "not_rendered");
    }
  }

  #asText<R>(request: R, model: string, outcome: string): R {
    this.#count(model, outcome);
    return request;
  }

  #count(model: string, outcome: string): void {
    const { metrics } = this.#deps;
    metrics.increment("promptTokenizations", { model: metrics.bounded("model", model), outcome });
  }
}

/** undefined where the request has no single prompt. */
async function encode(
  request: InferenceRequest,
  text: ModelText,
  serving: ModelSnapshot,
): Promise<RequestFeatures | undefined> {
  const { endpoint, features, body, signal } = request;
  if (!endpoint.read) return undefined;
  const { read } = endpoint;
  const [worker] = serving.workers;
  const told = worker?.info.maxModelLen;
  const form = worker && chatFormOf(worker);
  const job = await readWhole(request, told, (whole) => read(whole, form));
  const prompts = job.kind === "generate" ? job.api.generation.prompts : job.embedding.prompts;
  if (prompts.length !== 1) return undefined;
  const bounds = { maxModelLen: told ?? text.tokenizer.maxTokens, promptMembers: endpoint.promptMembers, signal };
  return new TokenFeatures(await encodePrompts(prompts, text, bounds, form), features, body);
}
