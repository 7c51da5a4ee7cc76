import { expect, test } from "bun:test";
import type { GenerationRequest } from "../../protocol/generation.ts";
import { GenerateRequest, GenerateResponse } from "../../transport/grpc/generated/engine/trtllm.ts";
import { codec } from "./codec.ts";

const request: GenerationRequest = {
  prompts: [],
  n: 2,
  sampling: {
    temperature: 0.5,
    topP: undefined,
    topK: -1,
    minP: undefined,
    frequencyPenalty: undefined,
    presencePenalty: undefined,
    repetitionPenalty: undefined,
    seed: 7,
    logitBias: undefined,
  },
  maxTokens: 12,
  minTokens: undefined,
  stop: ["not for the engine"],
  stopTokenIds: [5],
  includeStop: false,
  ignoreEos: false,
  skipSpecialTokens: true,
  logprobs: { top: 1 },
  promptLogprobs: undefined,
  echo: false,
  constraint: { kind: "choice", choices: ["a.b", "c"] },
  toolChoice: { kind: "none" },
  parallelToolCalls: true,
  separateReasoning: true,
  priority: undefined,
  loraId: undefined,
};

test("a request says what was asked for, in the engine's fields", () => {
  const bytes = codec.encodeGenerate({
    requestId: "r1",
    ids: Uint32Array.of(1, 2, 3),
    text: "abc",
    request,
    sampling: request.sampling,
    isStreamed: true,
    kv: undefined,
    rank: undefined,
  });
  const sent = GenerateRequest.decode(bytes);
  expect([sent.requestId, sent.tokenized?.inputTokenIds, sent.maxTokens, sent.streaming]).toEqual([
    "r1",
    [1, 2, 3],
    12,
    true,
  ]);
  expect([sent.samplingConfig?.numReturnSequences, sent.samplingConfig?.topK, sent.samplingConfig?.topP]).toEqual([
    2,
    0,
    undefined,
  ]);
  expect([sent.guidedDecoding?.guide, sent.stop, sent.stopTokenIds]).toEqual(["(a\\.b|c)", [], [5]]);
});

test("of a stream the last message says how it ended and repeats nothing", () => {
  const chunk = GenerateResponse.encode(
    GenerateResponse.fromPartial({
      response: { $case: "chunk", value: { tokenIds: [4, 5], sequenceIndex: 1, promptTokens: 3 } },
    }),
  ).finish();
  const end = GenerateResponse.encode(
    GenerateResponse.fromPartial({
      response: {
        $case: "complete",
        value: {
          outputTokenIds: [4, 5],
          sequenceIndex: 1,
          finishReason: "stop",
          matchedStop: { $case: "matchedTokenId", value: 5 },
        },
      },
    }),
  ).finish();
  expect(codec.decodeGenerate(chunk, true)).toMatchObject({ index: 1, ids: [4, 5], promptTokens: 3 });
  expect(codec.decodeGenerate(end, true)).toMatchObject({ ids: [], finish: { reason: "stop", matched: 5 } });
  expect(codec.decodeGenerate(end, false)).toMatchObject({ index: 1, ids: [4, 5] });
});
