import type { Constraint, TokenLogprob } from "../../protocol/generation.ts";
import {
  AbortRequest,
  EmbedRequest,
  EmbedResponse,
  GenerateRequest,
  GenerateResponse,
  type GuidedDecodingParams,
  GuidedDecodingParams_GuideType as GuideType,
  type TokenLogprob as WireLogprob,
} from "../../transport/grpc/generated/engine/trtllm.ts";
import type { EngineCodec } from "../codec.ts";
import { anyOf, finishReason, numbersOf, seedOf } from "../engine-steps.ts";
import { TRTLLM } from "./methods.ts";

/** TensorRT-LLM's service. */
export const codec: EngineCodec = {
  lacks: ["loraId", "logitBias"],
  methods: { generate: TRTLLM.generate, embed: TRTLLM.embed, abort: TRTLLM.abort },

  encodeGenerate({ requestId, ids, text, request, sampling, isStreamed }) {
    return GenerateRequest.encode(
      GenerateRequest.fromPartial({
        requestId,
        tokenized: { originalText: text, inputTokenIds: numbersOf(ids) },
        samplingConfig: {
          beamWidth: 1,
          numReturnSequences: request.n,
          temperature: sampling.temperature,
          topP: sampling.topP,
          // Zero means all tokens.
          topK: sampling.topK === -1 ? 0 : sampling.topK,
          minP: sampling.minP,
          seed: seedOf(sampling.seed),
          minTokens: request.minTokens,
          repetitionPenalty: sampling.repetitionPenalty,
          presencePenalty: sampling.presencePenalty,
          frequencyPenalty: sampling.frequencyPenalty,
        },
        outputConfig: {
          logprobs: request.logprobs?.top,
          promptLogprobs: request.promptLogprobs?.top,
          excludeInputFromOutput: true,
        },
        maxTokens: request.maxTokens ?? 0,
        streaming: isStreamed,
        guidedDecoding: request.constraint && guidedBy(request.constraint),
        stopTokenIds: [...request.stopTokenIds],
        ignoreEos: request.ignoreEos,
        includeStopTokenInOutput: true,
      }),
    ).finish();
  },

  decodeGenerate(message, isStreamed) {
    const { response } = GenerateResponse.decode(message);
    if (response?.$case === "chunk") {
      const { value: chunk } = response;
      return {
        index: chunk.sequenceIndex,
        ids: chunk.tokenIds,
        logprobs: logprobsOf(chunk.logprobs),
        promptLogprobs: undefined,
        promptTokens: chunk.promptTokens,
        cachedTokens: chunk.cachedTokens,
        reasoningTokens: undefined,
        finish: undefined,
        kvParams: undefined,
      };
    }
    if (response?.$case !== "complete") return undefined;
    const { value: end } = response;
    return {
      index: end.sequenceIndex,
      ids: isStreamed ? NO_IDS : end.outputTokenIds,
      logprobs: isStreamed ? undefined : logprobsOf(end.logprobs),
      promptLogprobs: logprobsOf(end.promptLogprobs),
      promptTokens: end.promptTokens,
      cachedTokens: end.cachedTokens,
      reasoningTokens: undefined,
      finish: { reason: finishReason(end.finishReason), matched: end.matchedStop?.value },
      kvParams: undefined,
    };
  },

  encodeAbort: (requestId) => AbortRequest.encode({ requestId }).finish(),

  encodeEmbed: (requestId, ids, text) =>
    EmbedRequest.encode({
      requestId,
      tokenized: { originalText: text, inputTokenIds: numbersOf(ids), queryTokenIds: [] },
    }).finish(),

  decodeEmbed(message) {
    const { embedding, promptTokens } = EmbedResponse.decode(message);
    return { values: Float32Array.from(embedding), promptTokens };
  },
};

const NO_IDS: readonly number[] = [];

function logprobsOf(logprobs: readonly WireLogprob[]): readonly TokenLogprob[] | undefined {
  if (logprobs.length === 0) return undefined;
  return logprobs.map(({ tokenId, logprob, topLogprobs }) => ({
    id: tokenId,
    logprob,
    top: topLogprobs.map((top) => ({ id: top.tokenId, logprob: top.logprob })),
  }));
}

function guidedBy(constraint: Constraint): GuidedDecodingParams {
  switch (constraint.kind) {
    case "json_schema":
      return { guideType: GuideType.GUIDE_TYPE_JSON_SCHEMA, guide: constraint.schema };
    case "json_object":
      return { guideType: GuideType.GUIDE_TYPE_JSON, guide: "" };
    case "regex":
      return { guideType: GuideType.GUIDE_TYPE_REGEX, guide: constraint.pattern };
    case "ebnf":
      return { guideType: GuideType.GUIDE_TYPE_EBNF_GRAMMAR, guide: constraint.grammar };
    case "structural_tag":
      return { guideType: GuideType.GUIDE_TYPE_STRUCTURAL_TAG, guide: constraint.tag };
    case "choice":
      return { guideType: GuideType.GUIDE_TYPE_REGEX, guide: anyOf(constraint.choices) };
  }
}
