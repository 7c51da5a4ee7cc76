import { expect, test } from "bun:test";
import { generateCall } from "../../../test/support/generate-call.ts";
import { GenerateRequest, GenerateResponse } from "../../transport/grpc/generated/engine/trtllm.ts";
import { codec } from "./codec.ts";

test("a request says what was asked for, in the engine's fields", () => {
  const bytes = codec.encodeGenerate(
    generateCall({
      n: 2,
      sampling: { ...generateCall({}).sampling, temperature: 0.5, topK: -1, seed: 7 },
      maxTokens: 12,
      stop: ["not for the engine"],
      stopTokenIds: [5],
      logprobs: { top: 1 },
      constraint: { kind: "choice", choices: ["a.b", "c"] },
    }),
  );
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
