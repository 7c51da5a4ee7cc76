import { GatewayError } from "../../errors/errors.ts";
import type { EngineCodec, LackedMember } from "../../engine/codec.ts";
import { engineOf } from "../../engine/engines.ts";
import type { Endpoint, EngineJob } from "../../protocol/endpoint.ts";
import type { ApiRequest, GenerationRequest } from "../../protocol/generation.ts";
import type { ModelSnapshot } from "../../worker/model-snapshot.ts";
import { TokenFeatures } from "../features/token-features.ts";
import type { InferenceRequest } from "../router.ts";
import { nobodyServes } from "../worker-router.ts";
import type { ModelText, ModelTexts } from "./model-text.ts";
import { type EncodedPrompt, encodePrompts } from "./prompt-encoder.ts";
import { readWhole } from "./whole-body.ts";

/** A request whose prompts are tokens. */
export interface TokenRequest extends InferenceRequest {
  readonly prompts: readonly EncodedPrompt[];
  readonly text: ModelText;
  readonly job: EngineJob;
}

/** Why token engines cannot serve an endpoint; undefined where they can. */
export function tokenRefusal({ work, read, path }: Endpoint): string | undefined {
  return work === "tokenize" || read ? undefined : noMethod(path);
}

/**
 * Makes tokens of the request's prompts with the tokenizer of its model. Throws invalid_request, not_implemented,
 * tokenizer_unavailable, client_closed.
 */
export async function readTokenRequest(
  request: InferenceRequest,
  serving: ModelSnapshot,
  texts: Pick<ModelTexts, "of">,
): Promise<TokenRequest> {
  const { endpoint, features, signal } = request;
  const { read } = endpoint;
  if (!read) throw new GatewayError("not_implemented", noMethod(endpoint.path));
  refuseSalt(request.body);
  const [worker] = serving.of("grpc").workers;
  const told = worker?.info.maxModelLen;
  // Errors of the body come out before a tokenizer is loaded for it.
  const reading = readWhole(request, told, read);
  const job = reading instanceof Promise ? await reading : reading;
  if (worker && job.kind === "generate") refuseLacked(job.api.generation, engineOf(worker).codec);
  const model = request.model ?? worker?.modelId;
  if (model === undefined) throw nobodyServes(undefined);
  const text = await texts.of(model);
  const prompts = await encodePrompts(
    job.kind === "generate" ? job.api.generation.prompts : job.embedding.prompts,
    text,
    { maxModelLen: told ?? text.tokenizer.maxTokens, promptMembers: endpoint.promptMembers, signal },
  );
  return { ...request, features: new TokenFeatures(prompts, features, request.body), prompts, text, job };
}

/** The generation of a request that generates. Throws internal_error for a request that embeds. */
export function generationOf({ job }: TokenRequest): {
  readonly api: ApiRequest;
  readonly generation: GenerationRequest;
} {
  if (job.kind !== "generate") throw new GatewayError("internal_error", "nothing to generate");
  return { api: job.api, generation: job.api.generation };
}

/** Members that keep the caches of tenants apart. No engine's messages have a place for them. */
const SALTS = ["cache_salt", "extra_key"] as const;

/** Without the salt a tenant could learn from the time to the first token what others have asked, so it is not left out silently. */
function refuseSalt(body: InferenceRequest["body"]): void {
  for (const name of SALTS) {
    if (!body.span(name) || body.value(name) === null) continue;
    const why = `${name} is not supported with workers that are reached over gRPC: they would share one cache among all`;
    throw new GatewayError("not_implemented", why, { param: name });
  }
}

/** Members of the engine's request as clients call them. */
const NAMES: Readonly<Record<LackedMember, string>> = { loraId: "lora_path", logitBias: "logit_bias" };

/** Refuses a request for which the engine would give another answer than was asked for: without its adapter, or without its bias. */
function refuseLacked(generation: GenerationRequest, codec: EngineCodec | undefined): void {
  for (const member of codec?.lacks ?? []) {
    const value = member === "loraId" ? generation.loraId : generation.sampling.logitBias;
    if (value === undefined) continue;
    const why = `${NAMES[member]} is not supported: the messages of this model's engine do not carry it`;
    throw new GatewayError("not_implemented", why, { param: NAMES[member] });
  }
}

function noMethod(path: string): string {
  return `gRPC workers have no method for ${path}`;
}
