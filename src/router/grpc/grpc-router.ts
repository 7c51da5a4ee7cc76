import { GatewayError } from "../../errors/errors.ts";
import type { Endpoint, EngineJob } from "../../protocol/endpoint.ts";
import type { ApiRequest, GenerationRequest } from "../../protocol/generation.ts";
import { embeddingsAnswer, type EmbeddingRequest } from "../../protocol/openai/embeddings.ts";
import type { GrpcCallOptions, GrpcClient } from "../../transport/grpc/grpc-client.ts";
import type { UpstreamResponse, UpstreamTimeouts } from "../../transport/upstream.ts";
import type { Worker } from "../../worker/worker.ts";
import type { InferenceRequest, RouterKind } from "../router.ts";
import { engineRequestId } from "../engine-request-id.ts";
import { TokenFeatures } from "../features/token-features.ts";
import { untilLeft } from "../../util/until-left.ts";
import type { Legs, Try } from "../try.ts";
import { WorkerRouter, type WorkerRouterDeps } from "../worker-router.ts";
import type { EmbedAnswer, EngineCodec, KvHandover } from "../../engine/codec.ts";
import { codecOf } from "../../engine/engines.ts";
import { type Generation, GenerationResponse } from "./generation-response.ts";
import type { ModelText, ModelTexts } from "./model-text.ts";
import { assemblySettings, startsInReasoning } from "./output-settings.ts";
import { type EncodedPrompt, encodePrompts, withDefaults } from "./prompt-encoder.ts";
import type { TokenAnswers } from "./token-answers.ts";
import { readWhole } from "./whole-body.ts";
import { wholeResponse } from "./whole-response.ts";
import type { LeaveSignal } from "../../util/leave-signal.ts";
import type { Reply } from "../../transport/downstream.ts";
import type { WorkerType } from "../../util/worker-type.ts";

export interface GrpcRouterDeps extends WorkerRouterDeps {
  readonly grpc: GrpcClient;
  readonly texts: ModelTexts;
  readonly tokenAnswers: TokenAnswers;
  readonly timeouts: UpstreamTimeouts & {
    /** The whole request, first byte in to last byte out, ms. */
    readonly totalMs: number;
  };
}

/** A request whose prompts are tokens. */
export interface TokenRequest extends InferenceRequest {
  readonly prompts: readonly EncodedPrompt[];
  readonly text: ModelText;
  readonly job: EngineJob;
}

/** Where one generation goes, and what it is told besides the request. */
export interface Leg {
  readonly worker: Worker;
  readonly engine: EngineCodec;
  /** Unique among what the engine has; legs of one request share it where the connector wants that. */
  readonly requestId: string;
  readonly isStreamed: boolean;
  readonly kv: KvHandover | undefined;
  readonly rank: number | undefined;
  readonly signal: LeaveSignal;
}

/** One prompt that was sent. */
export type Started = Pick<Generation, "stream" | "requestId" | "fromPrefill">;

const ROLES: Legs<WorkerType> = { prefill: undefined, answer: "regular" };
const FORWARDED = ["traceparent", "tracestate"] as const;
/** Inputs of one request that are embedded at the same time. */
const EMBED_LANES = 16;
/** For an engine to take an Abort, ms. */
const ABORT_MS = 2000;

/** One gRPC worker for each request: text becomes tokens here, and tokens text. */
export class GrpcRouter extends WorkerRouter<TokenRequest> {
  override readonly kind: RouterKind = "grpc";
  protected override readonly mode = "grpc";
  protected readonly deps: GrpcRouterDeps;

  constructor(deps: GrpcRouterDeps) {
    super(deps);
    this.deps = deps;
  }

  override refusal(endpoint: Endpoint): string | undefined {
    return endpoint.work === "tokenize" || endpoint.read ? undefined : noMethod(endpoint);
  }

  override async route(request: InferenceRequest): Promise<Reply> {
    if (request.endpoint.work !== "tokenize") return super.route(request);
    return untilLeft(this.deps.tokenAnswers.answer(request), request.signal);
  }

  protected override rolesFor(_endpoint: Endpoint): Legs<WorkerType> {
    return ROLES;
  }

  protected override async prepare(request: InferenceRequest): Promise<TokenRequest> {
    const { endpoint, features, signal } = request;
    const { read } = endpoint;
    if (!read) throw new GatewayError("not_implemented", noMethod(endpoint));
    const told = this.#maxModelLen(request);
    // What is wrong with the body is told before anything is loaded for it.
    const reading = readWhole(request, told, read);
    const job = reading instanceof Promise ? await reading : reading;
    const text = await this.#textOf(request);
    const prompts = await encodePrompts(
      job.kind === "generate" ? job.api.generation.prompts : job.embedding.prompts,
      text,
      { maxModelLen: told ?? text.tokenizer.maxTokens, signal },
    );
    return { ...request, features: new TokenFeatures(prompts, features), prompts, text, job };
  }

  protected override async send(request: TokenRequest, { answer: { worker } }: Try): Promise<UpstreamResponse> {
    const engine = codecOf(worker);
    if (request.job.kind === "embed") return this.#embed(request, worker, engine, request.job.embedding);
    const isStreamed = isEngineStreamed(request, request.job.api);
    const requestId = engineRequestId(request.record);
    return this.generate(request, {
      worker,
      engine,
      requestId,
      isStreamed,
      kv: undefined,
      rank: undefined,
      signal: request.signal,
    });
  }

  /** All prompts of the request at one worker. */
  protected generate(request: TokenRequest, leg: Leg): UpstreamResponse {
    const generations = request.prompts.map((prompt, at) =>
      this.start(request, { ...leg, requestId: promptId(leg, at) }, prompt),
    );
    return this.answer(request, leg, generations);
  }

  /** The client's answer, of what was started for each prompt in their order. */
  protected answer(request: TokenRequest, leg: Leg, started: readonly Started[]): UpstreamResponse {
    const { api, generation } = generationOf(request);
    const settings = assemblySettings(generation, request.text);
    const generations = request.prompts.flatMap((prompt, at): Generation[] => {
      const one = started[at];
      if (!one) return [];
      return [{ ...one, firstIndex: at * generation.n, startsInReasoning: startsInReasoning(settings, prompt) }];
    });
    return new GenerationResponse({
      engine: leg.engine,
      generations,
      settings,
      writer: api.createWriter({
        requestId: request.record.requestId,
        model: request.record.model ?? "",
        created: unixSecs(),
        now: unixSecs,
        promptTexts: request.prompts.map(({ text }) => text),
      }),
      isEngineStreamed: leg.isStreamed,
      isStream: request.isStream,
      abort: (requestId) => this.abort(leg, requestId),
    });
  }

  /** Starts one prompt. */
  protected start(request: TokenRequest, leg: Leg, prompt: EncodedPrompt): Started {
    const { generation } = generationOf(request);
    const message = leg.engine.encodeGenerate({
      requestId: leg.requestId,
      ids: prompt.ids,
      text: prompt.text,
      request: generation,
      sampling: withDefaults(generation.sampling, request.text),
      isStreamed: leg.isStreamed,
      kv: leg.kv,
      rank: leg.rank,
    });
    const options = this.callOptions(request, leg.worker, leg.signal);
    const stream = this.deps.grpc.serverStream(leg.worker.url, leg.engine.methods.generate, message, options);
    return { stream, requestId: leg.requestId };
  }

  protected callOptions(request: InferenceRequest, { spec }: Worker, signal: LeaveSignal): GrpcCallOptions {
    const { timeouts } = this.deps;
    const metadata: Record<string, string> = { "x-request-id": request.record.requestId };
    for (const name of FORWARDED) {
      const value = request.headers.get(name);
      if (value !== null) metadata[name] = value;
    }
    if (spec.apiKey) metadata["authorization"] = spec.apiKey.bearer();
    return { deadline: request.record.startedAt + timeouts.totalMs, timeouts, metadata, signal };
  }

  async #embed(
    request: TokenRequest,
    worker: Worker,
    engine: EngineCodec,
    embedding: EmbeddingRequest,
  ): Promise<UpstreamResponse> {
    const { prompts, record, signal } = request;
    const options = this.callOptions(request, worker, signal);
    const embeddings: EmbedAnswer[] = [];
    let next = 0;
    const lane = async (): Promise<void> => {
      for (let at = next++; at < prompts.length; at = next++) {
        const prompt = prompts[at];
        if (!prompt) return;
        const message = engine.encodeEmbed(`${engineRequestId(record)}-${at}`, prompt.ids, prompt.text);
        try {
          embeddings[at] = engine.decodeEmbed(
            await this.deps.grpc.unary(worker.url, engine.methods.embed, message, options),
          );
        } catch (error) {
          // The other lanes have nothing to do any more.
          next = prompts.length;
          throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(EMBED_LANES, prompts.length) }, lane));
    return wholeResponse(embeddingsAnswer(record.model ?? "", embedding, embeddings));
  }

  /** An engine notices a cancelled call by itself; being told as well frees its memory at once. */
  protected abort({ worker, engine }: Leg, requestId: string): void {
    const { grpc, timeouts, clock } = this.deps;
    const key = worker.spec.apiKey;
    const options: GrpcCallOptions = {
      deadline: clock.now() + ABORT_MS,
      timeouts,
      ...(key ? { metadata: { authorization: key.bearer() } } : {}),
    };
    grpc.unary(worker.url, engine.methods.abort, engine.encodeAbort(requestId), options).catch(() => {
      // The engine is gone or knows no such request: there is nothing to stop.
    });
  }

  async #textOf(request: InferenceRequest): Promise<ModelText> {
    const [worker] = this.deps.workers.getWorkersForModel(request.model, "grpc").workers;
    const model = request.model ?? worker?.modelId;
    if (model === undefined)
      throw new GatewayError("no_available_workers", "no worker is registered", { retryAfterSecs: 1 });
    return this.deps.texts.of(model);
  }

  #maxModelLen({ model }: InferenceRequest): number | undefined {
    return this.deps.workers.getWorkersForModel(model, "grpc").workers[0]?.info.maxModelLen;
  }
}

function noMethod({ path }: Endpoint): string {
  return `gRPC workers have no method for ${path}`;
}

export function generationOf({ job }: TokenRequest): {
  readonly api: ApiRequest;
  readonly generation: GenerationRequest;
} {
  if (job.kind !== "generate") throw new GatewayError("internal_error", "nothing to generate");
  return { api: job.api, generation: job.api.generation };
}

/** Whole answers are enough, unless the gateway has to stop the engine where a stop string comes. */
export function isEngineStreamed(request: InferenceRequest, { generation }: ApiRequest): boolean {
  return request.isStream || generation.stop.length > 0;
}

/** What the engine knows one of a request's prompts by. */
export function promptId({ requestId }: Leg, at: number): string {
  return at === 0 ? requestId : `${requestId}-${at}`;
}

function unixSecs(): number {
  return Math.floor(Date.now() / 1000);
}
