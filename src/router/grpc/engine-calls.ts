import { embeddingsAnswer, type EmbeddingRequest } from "../../protocol/openai/embeddings.ts";
import type { GrpcCallOptions, GrpcClient } from "../../transport/grpc/grpc-client.ts";
import type { UpstreamTimeouts } from "../../transport/upstream.ts";
import type { Clock } from "../../util/clock.ts";
import type { LeaveSignal } from "../../util/leave-signal.ts";
import type { Worker } from "../../worker/worker.ts";
import { engineRequestId } from "../engine-request-id.ts";
import type { WorkerResponse } from "../response-stage.ts";
import type { InferenceRequest } from "../router.ts";
import type { EmbedAnswer, EngineCodec, KvHandover } from "../../engine/codec.ts";
import { codecOf } from "../../engine/engines.ts";
import { type Generation, GenerationResponse } from "./generation-response.ts";
import { assemblySettings, startsInReasoning } from "./output-settings.ts";
import { type EncodedPrompt, withDefaults } from "./prompt-encoder.ts";
import { generationOf, type TokenRequest } from "./token-request.ts";
import { wholeResponse } from "./whole-response.ts";

export interface EngineCallsDeps {
  readonly grpc: GrpcClient;
  /** That of `grpc`. */
  readonly clock: Clock;
  readonly timeouts: UpstreamTimeouts & {
    /** The whole request, first byte in to last byte out, ms. */
    readonly totalMs: number;
  };
}

/** The worker for the generations of one request, and the further parameters for its engine. */
export interface Destination {
  readonly worker: Worker;
  readonly engine: EngineCodec;
  /** Unique among the engine's requests. The legs of one request share it where the connector needs that. */
  readonly requestId: string;
  /** Whether the engine answers token by token; otherwise it answers once for each sequence. */
  readonly isStreamed: boolean;
  readonly kv: KvHandover | undefined;
  readonly rank: number | undefined;
  readonly signal: LeaveSignal;
}

/** One prompt that was sent. */
export type Started = Pick<Generation, "stream" | "requestId" | "fromPrefill">;

const FORWARDED = ["traceparent", "tracestate"] as const;
/** Most inputs of one request that are embedded at the same time. */
const EMBED_LANES = 16;
/** Time for an engine to accept an Abort, ms. */
const ABORT_MS = 2000;

/** Makes the gRPC calls of a request. */
export class EngineCalls {
  readonly #deps: EngineCallsDeps;

  constructor(deps: EngineCallsDeps) {
    this.#deps = deps;
  }

  /** Starts one prompt. */
  start(request: TokenRequest, to: Destination, prompt: EncodedPrompt): Started {
    const { generation } = generationOf(request);
    const { worker, engine, requestId, isStreamed, kv, rank } = to;
    const message = engine.encodeGenerate({
      requestId,
      ids: prompt.ids,
      text: prompt.text,
      request: generation,
      sampling: withDefaults(generation.sampling, request.text),
      isStreamed,
      kv,
      rank,
    });
    const options = this.#optionsOf(request, worker, to.signal);
    return {
      stream: this.#deps.grpc.serverStream(worker.spec.url, engine.methods.generate, message, options),
      requestId,
    };
  }

  /** All prompts of the request at one worker. */
  generate(request: TokenRequest, to: Destination): WorkerResponse {
    const started = request.prompts.map((prompt, at) =>
      this.start(request, { ...to, requestId: promptId(to, at) }, prompt),
    );
    return this.answer(request, to, started);
  }

  /** The client's answer, of what was started for each prompt in their order. */
  answer(request: TokenRequest, to: Destination, started: readonly Started[]): WorkerResponse {
    const { api, generation } = generationOf(request);
    const settings = assemblySettings(generation, request.text);
    const generations = request.prompts.flatMap((prompt, at): Generation[] => {
      const one = started[at];
      if (!one) return [];
      return [{ ...one, firstIndex: at * generation.n, startsInReasoning: startsInReasoning(settings, prompt) }];
    });
    return new GenerationResponse({
      engine: to.engine,
      generations,
      settings,
      writer: api.createWriter({
        requestId: request.record.requestId,
        model: request.answerName ?? request.record.model ?? "",
        created: unixSecs(),
        now: unixSecs,
        promptTexts: request.prompts.map(({ text }) => text),
      }),
      isEngineStreamed: to.isStreamed,
      isStream: request.isStream,
      clock: this.#deps.clock,
      abort: (requestId) => this.abort(to, requestId),
    });
  }

  /** Embeds all inputs of the request at one worker. */
  async embed(request: TokenRequest, worker: Worker, embedding: EmbeddingRequest): Promise<WorkerResponse> {
    const { prompts, record, signal, answerName } = request;
    const engine = codecOf(worker);
    const options = this.#optionsOf(request, worker, signal);
    const embeddings: EmbedAnswer[] = [];
    let next = 0;
    const lane = async (): Promise<void> => {
      for (let at = next++; at < prompts.length; at = next++) {
        const prompt = prompts[at];
        if (!prompt) return;
        const message = engine.encodeEmbed(`${engineRequestId(record)}-${at}`, prompt.ids, prompt.text);
        try {
          const answer = await this.#deps.grpc.unary(worker.spec.url, engine.methods.embed, message, options);
          embeddings[at] = engine.decodeEmbed(answer);
        } catch (error) {
          // Stops the other lanes.
          next = prompts.length;
          throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(EMBED_LANES, prompts.length) }, lane));
    return wholeResponse(embeddingsAnswer(answerName ?? record.model ?? "", embedding, embeddings));
  }

  /** Sends an Abort. An engine notices a cancelled call by itself, but an Abort frees its memory at once. */
  abort({ worker, engine }: Destination, requestId: string): void {
    const { grpc, timeouts, clock } = this.#deps;
    const key = worker.spec.apiKey;
    const options: GrpcCallOptions = {
      deadline: clock.now() + ABORT_MS,
      timeouts,
      ...(key ? { metadata: { authorization: key.bearer() } } : {}),
    };
    grpc.unary(worker.spec.url, engine.methods.abort, engine.encodeAbort(requestId), options).catch(() => {
      // The engine is gone, or does not know the request: there is nothing to stop.
    });
  }

  #optionsOf(request: InferenceRequest, { spec, url }: Worker, signal: LeaveSignal): GrpcCallOptions {
    const { timeouts } = this.#deps;
    const traced = request.record.trace?.headers(url);
    const metadata: Record<string, string> = { "x-request-id": request.record.requestId };
    for (const name of FORWARDED) {
      const value = traced?.[name] ?? request.headers.get(name);
      if (value !== null) metadata[name] = value;
    }
    if (spec.apiKey) metadata["authorization"] = spec.apiKey.bearer();
    return { deadline: request.record.startedAt + timeouts.totalMs, timeouts, metadata, signal };
  }
}

/** A destination without further parameters. */
export function destinationOf(request: TokenRequest, worker: Worker): Destination {
  const { generation } = generationOf(request);
  return {
    worker,
    engine: codecOf(worker),
    requestId: engineRequestId(request.record),
    // Whole answers are enough, unless the gateway must stop the engine at a stop string.
    isStreamed: request.isStream || generation.stop.length > 0,
    kv: undefined,
    rank: worker.pinnedRank,
    signal: request.signal,
  };
}

/** The engine's id for one prompt of a request. */
export function promptId({ requestId }: Destination, at: number): string {
  return at === 0 ? requestId : `${requestId}-${at}`;
}

function unixSecs(): number {
  return Math.floor(Date.now() / 1000);
}
