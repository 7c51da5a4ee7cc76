import type { Constraint } from "../../protocol/generation.ts";
import {
  AbortRequest,
  EmbedRequest,
  EmbedResponse,
  GenerateRequest,
  GenerateResponse,
  SamplingParams,
} from "../../transport/grpc/generated/engine/vllm.ts";
import { type ChunkLayout, readChunk } from "../chunk-reader.ts";
import type { EngineCodec, GenerateCall } from "../codec.ts";
import { chunkStep, endStep, numbersOf, seedOf } from "../engine-steps.ts";
import { VLLM } from "./methods.ts";

/** vLLM's engine service. In proto3 zero means unset, so `temperature` and the limits are optional fields. */
export const codec: EngineCodec = {
  lacks: ["loraId"],
  methods: { generate: VLLM.generate, embed: VLLM.embed, abort: VLLM.abort },

  encodeGenerate(call) {
    const { kv } = call;
    return GenerateRequest.encode(
      GenerateRequest.fromPartial({
        requestId: call.requestId,
        input: { $case: "tokenized", value: { originalText: "", inputIds: numbersOf(call.ids) } },
        samplingParams: samplingParams(call),
        stream: call.isStreamed,
        dataParallelRank: call.rank,
        ...(kv?.kind === "params" ? { kvTransferParamsJson: kv.json } : {}),
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

  encodeAbort: (requestId) => AbortRequest.encode({ requestIds: [requestId] }).finish(),

  encodeEmbed: (requestId, ids) =>
    EmbedRequest.encode({ requestId, tokenized: { originalText: "", inputIds: numbersOf(ids) } }).finish(),

  decodeEmbed(message) {
    const { embedding, promptTokens } = EmbedResponse.decode(message);
    return { values: Float32Array.from(embedding), promptTokens };
  },
};

const CHUNK_LAYOUT: ChunkLayout = { chunk: 1, index: 7, reasoningTokens: undefined };

function samplingParams({ request, sampling, kv }: GenerateCall): SamplingParams {
  const isPrefill = kv?.kind === "params" && kv.isPrefill;
  return SamplingParams.fromPartial({
    temperature: sampling.temperature,
    topP: sampling.topP ?? 1,
    topK: Math.max(0, sampling.topK ?? 0),
    minP: sampling.minP ?? 0,
    frequencyPenalty: sampling.frequencyPenalty ?? 0,
    presencePenalty: sampling.presencePenalty ?? 0,
    repetitionPenalty: sampling.repetitionPenalty ?? 1,
    maxTokens: isPrefill ? 1 : request.maxTokens,
    minTokens: isPrefill ? 0 : (request.minTokens ?? 0),
    stopTokenIds: [...request.stopTokenIds],
    // The engine does not detokenize; the gateway drops special tokens itself.
    skipSpecialTokens: request.skipSpecialTokens,
    spacesBetweenSpecialTokens: true,
    ignoreEos: request.ignoreEos,
    n: isPrefill ? 1 : request.n,
    constraint: request.constraint && constraintOf(request.constraint),
    logprobs: request.logprobs?.top,
    promptLogprobs: request.promptLogprobs?.top,
    seed: seedOf(sampling.seed),
    logitBias: Object.fromEntries(sampling.logitBias ?? []),
  });
}

function constraintOf(constraint: Constraint): NonNullable<SamplingParams["constraint"]> {
  switch (constraint.kind) {
    case "json_schema":
      return { $case: "jsonSchema", value: constraint.schema };
    case "json_object":
      return { $case: "jsonObject", value: true };
    case "regex":
      return { $case: "regex", value: constraint.pattern };
    case "ebnf":
      return { $case: "grammar", value: constraint.grammar };
    case "structural_tag":
      return { $case: "structuralTag", value: constraint.tag };
    case "choice":
      return { $case: "choice", value: { choices: [...constraint.choices] } };
  }
}
