import type { Constraint } from "../../protocol/generation.ts";
import {
  AbortRequest,
  EmbedRequest,
  EmbedResponse,
  GenerateRequest,
  GenerateResponse,
  SamplingParams,
} from "../../transport/grpc/generated/engine/sglang.ts";
import { type ChunkLayout, readChunk } from "../chunk-reader.ts";
import type { EngineCodec, GenerateCall } from "../codec.ts";
import { anyOf, chunkStep, endStep, numbersOf } from "../engine-steps.ts";
import { SGLANG } from "./methods.ts";

/** SGLang's scheduler. Its messages have no seed: a client's seed is accepted and has no effect. */
export const codec: EngineCodec = {
  lacks: [],
  methods: { generate: SGLANG.generate, embed: SGLANG.embed, abort: SGLANG.abort },

  encodeGenerate(call) {
    const { request, kv } = call;
    return GenerateRequest.encode(
      GenerateRequest.fromPartial({
        requestId: call.requestId,
        tokenized: { originalText: call.text, inputIds: numbersOf(call.ids) },
        samplingParams: samplingParams(call),
        returnLogprob: request.logprobs !== undefined || request.promptLogprobs !== undefined,
        // -1: log-probabilities of generated tokens only.
        logprobStartLen: request.promptLogprobs?.from ?? -1,
        topLogprobsNum: Math.max(request.logprobs?.top ?? 0, request.promptLogprobs?.top ?? 0),
        loraId: request.loraId ?? "",
        stream: call.isStreamed,
        dataParallelRank: call.rank,
        ...(kv?.kind === "room"
          ? { disaggregatedParams: { bootstrapHost: kv.host, bootstrapPort: kv.port, bootstrapRoom: kv.room } }
          : {}),
      }),
    ).finish();
  },

  decodeGenerate(message, isStreamed) {
    const step = readChunk(message, CHUNK_LAYOUT);
    if (step) return step;
    const { response } = GenerateResponse.decode(message);
    if (response?.$case === "chunk") return chunkStep(response.value);
    return response?.$case === "complete" ? endStep(response.value, isStreamed) : undefined;
  },

  encodeAbort: (requestId) => AbortRequest.encode({ requestId, reason: "the client left" }).finish(),

  encodeEmbed: (requestId, ids, text) =>
    EmbedRequest.encode(
      EmbedRequest.fromPartial({ requestId, tokenized: { originalText: text, inputIds: numbersOf(ids) } }),
    ).finish(),

  decodeEmbed(message) {
    const { embedding, promptTokens } = EmbedResponse.decode(message);
    return { values: Float32Array.from(embedding), promptTokens };
  },
};

const CHUNK_LAYOUT: ChunkLayout = { chunk: 2, index: 8, reasoningTokens: 9 };

function samplingParams({ request, sampling }: GenerateCall): SamplingParams {
  const bias = sampling.logitBias;
  return SamplingParams.fromPartial({
    temperature: sampling.temperature ?? 1,
    topP: sampling.topP ?? 1,
    topK: sampling.topK === undefined || sampling.topK === 0 ? -1 : sampling.topK,
    minP: sampling.minP ?? 0,
    frequencyPenalty: sampling.frequencyPenalty ?? 0,
    presencePenalty: sampling.presencePenalty ?? 0,
    repetitionPenalty: sampling.repetitionPenalty ?? 1,
    maxNewTokens: request.maxTokens,
    minNewTokens: request.minTokens ?? 0,
    stopTokenIds: [...request.stopTokenIds],
    skipSpecialTokens: request.skipSpecialTokens,
    spacesBetweenSpecialTokens: true,
    ignoreEos: request.ignoreEos,
    n: request.n,
    constraint: request.constraint && constraintOf(request.constraint),
    logitBias: bias ? Object.fromEntries([...bias].map(([id, value]) => [String(id), value])) : {},
  });
}

function constraintOf(constraint: Constraint): NonNullable<SamplingParams["constraint"]> {
  switch (constraint.kind) {
    case "json_schema":
      return { $case: "jsonSchema", value: constraint.schema };
    case "json_object":
      return { $case: "jsonSchema", value: '{"type":"object"}' };
    case "regex":
      return { $case: "regex", value: constraint.pattern };
    case "ebnf":
      return { $case: "ebnfGrammar", value: constraint.grammar };
    case "structural_tag":
      return { $case: "structuralTag", value: constraint.tag };
    case "choice":
      return { $case: "regex", value: anyOf(constraint.choices) };
  }
}
