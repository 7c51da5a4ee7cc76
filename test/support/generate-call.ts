import type { GenerateCall } from "../../src/engine/codec.ts";
import type { GenerationRequest } from "../../src/protocol/generation.ts";

/** A call for three tokens of prompt, of which the client said nothing but this. */
export function generateCall(said: Partial<GenerationRequest>): GenerateCall {
  const request: GenerationRequest = {
    prompts: [],
    n: 1,
    sampling: {
      temperature: undefined,
      topP: undefined,
      topK: undefined,
      minP: undefined,
      frequencyPenalty: undefined,
      presencePenalty: undefined,
      repetitionPenalty: undefined,
      seed: undefined,
      logitBias: undefined,
    },
    maxTokens: undefined,
    minTokens: undefined,
    stop: [],
    stopTokenIds: [],
    includeStop: false,
    ignoreEos: false,
    skipSpecialTokens: true,
    logprobs: undefined,
    promptLogprobs: undefined,
    echo: false,
    constraint: undefined,
    toolChoice: { kind: "none" },
    parallelToolCalls: true,
    separateReasoning: true,
    priority: undefined,
    loraId: undefined,
    ...said,
  };
  return {
    requestId: "r1",
    ids: Uint32Array.of(1, 2, 3),
    text: "abc",
    request,
    sampling: request.sampling,
    isStreamed: true,
    kv: undefined,
    rank: undefined,
  };
}
